"""ScaledDropRate against its formula."""

import keras
import numpy as np
import pytest

from keras_selectscale import exponential_curriculum, linear_curriculum
from keras_selectscale.layers.schedules import ScaledDropRate


@pytest.mark.parametrize("factor", [0, 0.3, 0.5, 1])
@pytest.mark.parametrize("curriculum", [linear_curriculum, exponential_curriculum])
def test_values(factor, curriculum):
    schedule = curriculum(0.2, 40)
    scaled = ScaledDropRate(schedule, factor)
    for step in (0, 1, 10, 39, 40, 1000):
        expected = 1 - factor * (1 - float(schedule(step)))
        np.testing.assert_allclose(float(scaled(step)), expected, atol=1e-6)


def test_many_steps_at_once():
    steps = keras.ops.arange(5, dtype="int32")
    rates = keras.ops.convert_to_numpy(ScaledDropRate(linear_curriculum(0.2, 4), 0.5)(steps))
    np.testing.assert_allclose(rates, [1.0, 0.9, 0.8, 0.7, 0.6], atol=1e-6)


def test_it_goes_through_keras_serialisation():
    schedule = ScaledDropRate(exponential_curriculum(0.3, 70, 4), 0.5)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(schedule))
    assert isinstance(again, ScaledDropRate)
    assert again.factor == 0.5
    assert again.schedule.get_config() == {"final_rate": 0.3, "steps": 70, "decay": 4.0}


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"schedule": 0.2}, TypeError, "`schedule` must be.*0.2"),
        ({"factor": "1"}, TypeError, "`factor` must be a number.*'1'"),
        ({"factor": float("inf")}, ValueError, "`factor` must be finite.*inf"),
        ({"factor": -1}, ValueError, r"`factor` must be in \[0, 1\].*-1"),
        ({"factor": 1.01}, ValueError, r"`factor` must be in \[0, 1\].*1.01"),
    ],
)
def test_bad_values(arguments, error, message):
    with pytest.raises(error, match=message):
        ScaledDropRate(**({"schedule": linear_curriculum(0.2, 4), "factor": 0.5} | arguments))
