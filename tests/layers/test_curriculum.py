"""The two curricula by name."""

import keras
import numpy as np
import pytest

from keras_selectscale import exponential_curriculum, linear_curriculum
from keras_selectscale.layers import ExponentialCurriculum


@pytest.mark.parametrize("final_rate", [0.0, 0.2, 0.9, 1.0])
def test_the_linear_one_falls_from_one_and_stays(final_rate):
    schedule = linear_curriculum(final_rate, 40)
    assert isinstance(schedule, keras.optimizers.schedules.LearningRateSchedule)
    for step in (0, 1, 10, 20, 39, 40, 41, 1000):
        expected = 1 - (1 - final_rate) * min(step / 40, 1)
        np.testing.assert_allclose(float(schedule(step)), expected, atol=1e-6)


def test_the_exponential_one_is_that_of_morerio():
    schedule = exponential_curriculum(0.2, 40, decay=5)
    assert isinstance(schedule, ExponentialCurriculum)
    assert schedule.get_config() == {"final_rate": 0.2, "steps": 40, "decay": 5.0}
    assert exponential_curriculum(0.2, 40).decay == 10


@pytest.mark.parametrize("curriculum", [linear_curriculum, exponential_curriculum])
@pytest.mark.parametrize(
    ("final_rate", "steps", "error", "message"),
    [
        (-0.1, 10, ValueError, r"`final_rate` must be in \[0, 1\].*-0\.1"),
        (1.1, 10, ValueError, r"`final_rate` must be in \[0, 1\].*1\.1"),
        (float("nan"), 10, ValueError, "`final_rate` must be finite.*nan"),
        ("0.2", 10, TypeError, "`final_rate` must be a number.*'0.2'"),
        (None, 10, TypeError, "`final_rate` must be a number.*None"),
        (True, 10, TypeError, "`final_rate` must be a number.*True"),
        (0.2, 0, ValueError, "`steps` must be a positive integer.*0"),
        (0.2, 2.5, ValueError, "`steps` must be a positive integer.*2.5"),
        (0.2, True, ValueError, "`steps` must be a positive integer.*True"),
        (0.2, None, ValueError, "`steps` must be a positive integer.*None"),
    ],
)
def test_bad_values(curriculum, final_rate, steps, error, message):
    with pytest.raises(error, match=message):
        curriculum(final_rate, steps)
