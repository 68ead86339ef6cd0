"""Morerio et al.'s own form of the curriculum."""

from typing import Any

import keras
from keras import ops
from keras.optimizers.schedules import LearningRateSchedule

from keras_selectscale.layers import rates


@keras.saving.register_keras_serializable(package="keras_selectscale")
class ExponentialCurriculum(LearningRateSchedule):
    """A retaining rate that falls exponentially from 1 towards its final value.

        rate(step) = (1 - final_rate) * exp(-gamma * step) + final_rate,   gamma = decay / steps

    Args:
        final_rate: Rate that is approached, in [0, 1].
        steps: Steps of the whole training, a positive integer.
        decay: How many time constants the training is long; Morerio et al. take 10, so that the
            last rate is within 5e-5 of the final one.

    Raises:
        TypeError: Where `final_rate` or `decay` is no number.
        ValueError: Where an argument is out of its range.

    Reference:
        Morerio et al., Curriculum Dropout, ICCV 2017.
    """

    def __init__(self, final_rate: float, steps: int, decay: float = 10.0):
        self.final_rate = rates.as_final_rate(final_rate)
        self.steps = rates.as_steps(steps)
        self.decay = rates.as_rate("decay", decay)
        if self.decay <= 0:
            raise ValueError(f"Argument `decay` must be positive. Received: decay={decay!r}")

    def __call__(self, step: Any) -> Any:
        """Returns the rate at `step`, a scalar float32 tensor."""
        time = ops.cast(step, "float32") * (self.decay / self.steps)
        return (1.0 - self.final_rate) * ops.exp(-time) + self.final_rate

    def get_config(self) -> dict[str, Any]:
        """Returns every argument."""
        return {"final_rate": self.final_rate, "steps": self.steps, "decay": self.decay}
