"""A schedule whose drop rate is that of another, times a factor."""

from typing import Any

import keras
from keras.optimizers.schedules import LearningRateSchedule

from keras_selectscale.layers import rates


@keras.saving.register_keras_serializable(package="keras_selectscale")
class ScaledDropRate(LearningRateSchedule):
    """A retaining rate whose drop rate, 1 - rate, is that of `schedule` times a factor.

        rate(step) = 1 - factor * (1 - schedule(step))

    Args:
        schedule: `keras.optimizers.schedules.LearningRateSchedule` of a retaining rate.
        factor: Number in [0, 1]: 1 is `schedule` itself, 0 the identity.

    Raises:
        TypeError: Where `schedule` is no schedule or `factor` no number.
        ValueError: Where `factor` is not in [0, 1].

    Example:

    ```python
    # From 1 to 0.6 where the other falls from 1 to 0.2.
    ScaledDropRate(linear_curriculum(0.2, steps=390 * 200), factor=0.5)
    ```
    """

    def __init__(self, schedule: LearningRateSchedule, factor: float):
        if not isinstance(schedule, LearningRateSchedule):
            raise TypeError(
                "Argument `schedule` must be a `keras.optimizers.schedules.LearningRateSchedule`. "
                f"Received: schedule={schedule!r} (of type {type(schedule).__name__})"
            )
        self.schedule = schedule
        self.factor = rates.as_rate("factor", factor)
        if not 0 <= self.factor <= 1:
            raise ValueError(f"Argument `factor` must be in [0, 1]. Received: factor={factor!r}")

    def __call__(self, step: Any) -> Any:
        """Returns the rate at `step`, of the shape that `schedule` gives."""
        return 1.0 - self.factor * (1.0 - self.schedule(step))

    def get_config(self) -> dict[str, Any]:
        """Returns every argument, the schedule in Keras' serialised form."""
        return {
            "schedule": keras.saving.serialize_keras_object(self.schedule),
            "factor": self.factor,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "ScaledDropRate":
        """Makes the schedule again from `get_config()`."""
        schedule = config["schedule"]
        if isinstance(schedule, dict):
            schedule = keras.saving.deserialize_keras_object(schedule)
        return cls(**{**config, "schedule": schedule})
