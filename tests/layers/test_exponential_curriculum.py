"""ExponentialCurriculum against its formula."""

import keras
import numpy as np
import pytest

from keras_selectscale.layers import ExponentialCurriculum


@pytest.mark.parametrize("final_rate", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("decay", [1.0, 10.0])
def test_values(final_rate, decay):
    schedule = ExponentialCurriculum(final_rate, 50, decay)
    for step in (0, 1, 5, 50, 500):
        expected = (1 - final_rate) * np.exp(-decay * step / 50) + final_rate
        np.testing.assert_allclose(float(schedule(step)), expected, atol=1e-6)


def test_it_goes_through_keras_serialisation():
    schedule = ExponentialCurriculum(0.3, 70, 4)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(schedule))
    assert isinstance(again, ExponentialCurriculum)
    assert again.get_config() == {"final_rate": 0.3, "steps": 70, "decay": 4.0}


@pytest.mark.parametrize(
    ("decay", "error", "message"),
    [
        (0, ValueError, "`decay` must be above 0.*0"),
        (-1.0, ValueError, "`decay` must be above 0.*-1.0"),
        (float("inf"), ValueError, "`decay` must be finite.*inf"),
        ("10", TypeError, "`decay` must be a number.*'10'"),
    ],
)
def test_bad_decay(decay, error, message):
    with pytest.raises(error, match=message):
        ExponentialCurriculum(0.2, 10, decay)
