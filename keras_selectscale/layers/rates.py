"""Checks of rates, as single numbers and as schedules."""

import numbers
from concurrent.futures import ThreadPoolExecutor

import ml_dtypes
import numpy as np
from keras import ops
from keras.optimizers.schedules import LearningRateSchedule

from keras_selectscale.checks import ArgumentValueError, as_number, shown, type_error
from keras_selectscale.layers import factors

# 1 - 0.9 is not 0.1 in floating point, and a schedule computes in float32.
TOLERANCE = 1e-6
# The values that a search draws by default: tenths, as in the paper (Tables 1 and 2, Figure 4).
TOP_RATES = tuple(tenth / 10 for tenth in range(1, 11))
SCALE_RATES = tuple(tenth / 10 for tenth in range(10))
DROPOUT_RATES = tuple(tenth / 10 for tenth in range(5, 10))
# The steps at which a new layer probes its schedule: 4,096, then 64 per doubling up to 2**24.
PROBED_STEPS = np.unique(
    np.concatenate([np.arange(4096), np.exp2(np.linspace(12, 24, 12 * 64 + 1))]).astype("int32")
)
FEW_PROBED_STEPS = np.unique(np.concatenate([np.arange(33), 2 ** np.arange(25)]).astype("int32"))
# The smallest rate, a normal float32 number, whose inverse is finite, by dtype.
SMALLEST_DIVISORS = {
    name: max(1 / float(ml_dtypes.finfo(name).max), 2.0**-126) for name in factors.FLOATS
}


def as_retaining_rate(value: object, *, divides: bool) -> float | LearningRateSchedule:
    """Returns a valid `retaining_rate`: a float, or a schedule that stays in its range."""
    interval = "(0, 1]" if divides else "[0, 1]"
    if isinstance(value, LearningRateSchedule):
        steps, rates = _probe(value)
        inside = (rates > 0 if divides else rates >= -TOLERANCE) & (rates <= 1 + TOLERANCE)
        if not inside.all():
            first = np.argmin(inside)
            raise _error(
                f"stay in {interval} at every step of its schedule",
                f"{type(value).__name__}, which returns {rates[first]:g} at step {steps[first]}",
            )
        return value
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        expected = "a number or a `keras.optimizers.schedules.LearningRateSchedule`"
        raise type_error("retaining_rate", expected, value)
    rate = as_number("retaining_rate", value)
    if not 0 <= rate <= 1 or (divides and rate == 0):
        interval += ", because the method divides by it" if divides else ""
        raise _error(f"be in {interval}", shown(value))
    return rate


def check_inverse_fits(retaining_rate: float | LearningRateSchedule, dtype: str) -> None:
    """Raises a `ValueError` if 1 / retaining_rate exceeds the largest number of `dtype`."""
    rate, where = lowest(retaining_rate)
    if rate < (smallest := SMALLEST_DIVISORS[dtype]):
        expected = f"be at least {smallest:.3g} in {dtype}, because the method divides by it"
        raise _error(expected, f"{rate!r}{where}")


def lowest(retaining_rate: float | LearningRateSchedule) -> tuple[float, str]:
    """Returns the lowest rate, and where it was found as words for a message."""
    if not isinstance(retaining_rate, LearningRateSchedule):
        return retaining_rate, ""
    steps, rates = _probe(retaining_rate)
    least = np.argmin(rates)
    return float(rates[least]), f" at step {steps[least]} of its schedule"


def _error(expected: str, received: str) -> ArgumentValueError:
    message = f"Argument `retaining_rate` must {expected}. Received: retaining_rate={received}"
    return ArgumentValueError.about("retaining_rate", message)


def _probe(schedule: LearningRateSchedule) -> tuple[np.ndarray, np.ndarray]:
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
            rates = ops.convert_to_numpy(at_once(steps))
        except Exception:  # A custom schedule may branch in Python on the value of its step.
            continue
        if rates.shape == PROBED_STEPS.shape:
            return PROBED_STEPS, rates
    few = FEW_PROBED_STEPS
    try:
        return few, np.array([float(ops.convert_to_numpy(schedule(int(s)))) for s in few])
    except Exception as error:
        received = f"{type(schedule).__name__}, which raises {type(error).__name__} at a step"
        raise _error("be a number or a schedule of numbers", received) from error
