"""Schedules of a retaining rate: curricula that fall from 1 in training, and scaled rates.

"The co-adaptations will not occur at the beginning of training, because the networks are
initialized randomly" (Section 3.4): no drop at first, the full drop at the end. The schedules are
functions of the layer's count of training steps.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import keras
import numpy as np
from keras import ops
from keras.optimizers.schedules import LearningRateSchedule, PolynomialDecay

from keras_selectscale.argument_names import named_arguments
from keras_selectscale.checks import as_number
from keras_selectscale.layers import rates
from keras_selectscale.layers.configs import create
from keras_selectscale.object_checks import as_instance, as_positive_integer

LARGEST_STEPS = 2**31 - 1
# 1 - 0.9 is not 0.1 in floating point, and a schedule computes in float32.
TOLERANCE = 1e-6
# The steps at which a new layer probes its schedule: 4,096, then 64 per doubling up to 2**24.
PROBED_STEPS = np.unique(
    np.concatenate([np.arange(4096), np.exp2(np.linspace(12, 24, 12 * 64 + 1))]).astype("int32")
)
FEW_PROBED_STEPS = np.unique(np.concatenate([np.arange(33), 2 ** np.arange(25)]).astype("int32"))


@named_arguments
def linear_curriculum(final_rate: float, steps: int) -> LearningRateSchedule:
    """Returns a rate that falls linearly from 1 to `final_rate` over `steps`, the paper's form.

        rate(step) = 1 - (1 - final_rate) * min(step / steps, 1)

    Args:
        final_rate: Rate at the end, in [0, 1].
        steps: Training steps (batches) of the whole training, a positive integer.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If an argument is out of range.

    Example:

    ```python
    SelectScale(top_rate=0.1, retaining_rate=linear_curriculum(0.2, steps=390 * 200))
    ```
    """
    final_rate = as_number("final_rate", final_rate, 0, 1)
    return PolynomialDecay(1.0, as_positive_integer("steps", steps, LARGEST_STEPS), final_rate)


@named_arguments
def exponential_curriculum(
    final_rate: float, steps: int, decay: float = 10.0
) -> LearningRateSchedule:
    """Returns a rate that falls exponentially from 1 towards `final_rate`, Morerio et al.'s form.

    The arguments are those of `ExponentialCurriculum`.
    """
    return ExponentialCurriculum(final_rate, steps, decay)


@keras.saving.register_keras_serializable(package="keras_selectscale")
class ExponentialCurriculum(LearningRateSchedule):
    """A retaining rate that falls exponentially from 1 towards its final value.

        rate(step) = (1 - final_rate) * exp(-gamma * step) + final_rate,   gamma = decay / steps

    Args:
        final_rate: Rate that is approached, in [0, 1].
        steps: Training steps (batches) of the whole training, a positive integer.
        decay: Number of time constants in the training, positive. Morerio et al. use 10, which
            brings the last rate within 5e-5 of the final one.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If an argument is out of range.

    Reference:
        Morerio et al., Curriculum Dropout, ICCV 2017.
    """

    def __init__(self, final_rate: float, steps: int, decay: float = 10.0):
        self.final_rate = as_number("final_rate", final_rate, 0, 1)
        self.steps = as_positive_integer("steps", steps, LARGEST_STEPS)
        self.decay = as_number("decay", decay, 0, above=True)

    def __call__(self, step: Any) -> Any:
        """Returns the rate at `step`, a scalar float32 tensor."""
        time = ops.cast(step, "float32") * (self.decay / self.steps)
        return (1.0 - self.final_rate) * ops.exp(-time) + self.final_rate

    def get_config(self) -> dict[str, Any]:
        """Returns all arguments."""
        return {"final_rate": self.final_rate, "steps": self.steps, "decay": self.decay}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "ExponentialCurriculum":
        """Creates the schedule from `get_config()`."""
        return create(cls, config)


@keras.saving.register_keras_serializable(package="keras_selectscale")
class ScaledDropRate(LearningRateSchedule):
    """A retaining rate whose drop rate, 1 - rate, is that of `schedule` times a factor.

        rate(step) = 1 - factor * (1 - schedule(step))

    Args:
        schedule: `keras.optimizers.schedules.LearningRateSchedule` of a retaining rate.
        factor: Number in [0, 1]: 1 keeps `schedule`, 0 is the identity.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If `factor` is not in [0, 1].

    Example:

    ```python
    # From 1 to 0.6 while the other falls from 1 to 0.2.
    ScaledDropRate(linear_curriculum(0.2, steps=390 * 200), factor=0.5)
    ```
    """

    def __init__(self, schedule: LearningRateSchedule, factor: float):
        expected = "a `keras.optimizers.schedules.LearningRateSchedule`"
        self.schedule = as_instance("schedule", schedule, LearningRateSchedule, expected)
        self.factor = as_number("factor", factor, 0, 1)

    def __call__(self, step: Any) -> Any:
        """Returns the rate at `step`, with the shape that `schedule` returns."""
        return 1.0 - self.factor * (1.0 - self.schedule(step))

    def get_config(self) -> dict[str, Any]:
        """Returns all arguments, the schedule in Keras' serialized form."""
        return {
            "schedule": keras.saving.serialize_keras_object(self.schedule),
            "factor": self.factor,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "ScaledDropRate":
        """Creates the schedule from `get_config()`."""
        return create(cls, config, ("schedule",))


def check_schedule(schedule: LearningRateSchedule, divides_in: str | None = None) -> None:
    """Raises a `ValueError` if a schedule leaves the range of retaining rates.

    Args:
        schedule: The schedule.
        divides_in: Dtype in which the method divides by the rate; `None` if it does not.
    """
    steps, values = probe(schedule)
    inside = (values > 0 if divides_in else values >= -TOLERANCE) & (values <= 1 + TOLERANCE)
    if not inside.all():
        first = np.argmin(inside)
        raise rates.error(
            f"stay in {'(' if divides_in else '['}0, 1] at every step of its schedule",
            f"{type(schedule).__name__}, which returns {values[first]:g} at step {steps[first]}",
        )
    rate, where = lowest(schedule)
    rates.check_inverse_fits(rate, divides_in, where)


def lowest(rate: float | LearningRateSchedule) -> tuple[float, str]:
    """Returns the lowest rate, and where it was found as words for a message."""
    if not isinstance(rate, LearningRateSchedule):
        return rate, ""
    steps, values = probe(rate)
    least = np.argmin(values)
    return float(values[least]), f" at step {steps[least]} of its schedule"


def probe(schedule: LearningRateSchedule) -> tuple[np.ndarray, np.ndarray]:
    """Returns steps and the values of the schedule there."""
    # A layer may be created in a trace, in a scope without values or on a device without data. All
    # of these belong to a thread, so a new thread computes numbers.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(_values_of, schedule).result()


def _values_of(schedule: LearningRateSchedule) -> tuple[np.ndarray, np.ndarray]:
    """Returns steps and the values of the schedule there, computed in one call if possible."""
    steps = ops.convert_to_tensor(PROBED_STEPS, "int32")
    # Keras' own are elementwise, except those that branch with `ops.cond`, which can be mapped.
    for at_once in (schedule, lambda steps: ops.vectorized_map(schedule, steps)):
        try:
            values = ops.convert_to_numpy(at_once(steps))
        except Exception:  # A custom schedule may branch in Python on the value of its step.
            continue
        if values.shape == PROBED_STEPS.shape:
            return PROBED_STEPS, values
    few = FEW_PROBED_STEPS
    try:
        return few, np.array([float(ops.convert_to_numpy(schedule(int(s)))) for s in few])
    except Exception as error:
        received = f"{type(schedule).__name__}, which raises {type(error).__name__} at a step"
        raise rates.error("be a number or a schedule of numbers", received) from error


rates.CHECKS[LearningRateSchedule] = check_schedule
