"""Validation of the rates, of single numbers and of whole schedules."""

import math
import numbers
from concurrent.futures import ThreadPoolExecutor

import ml_dtypes
import numpy as np
from keras import ops
from keras.optimizers.schedules import LearningRateSchedule

# 1 - 0.9 is not 0.1 in floating point, and a schedule computes in float32.
TOLERANCE = 1e-6
# Where a schedule is looked at when a layer is made: each of the first 4,096 steps, then 64 steps
# to a doubling, up to 2**24 (300 epochs of ImageNet at batch 256 are 1.5 million).
PROBED_STEPS = np.unique(
    np.concatenate([np.arange(4096), np.exp2(np.linspace(12, 24, 12 * 64 + 1))]).astype("int32")
)
# The same for a schedule that takes one step at a time.
FEW_PROBED_STEPS = np.unique(np.concatenate([np.arange(33), 2 ** np.arange(25)]).astype("int32"))


def as_rate(name: str, value: object) -> float:
    """Returns `value` as a finite Python float, or raises naming the argument."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(
            f"Argument `{name}` must be a number. "
            f"Received: {name}={value!r} (of type {type(value).__name__})"
        )
    try:
        rate = float(value)
    except OverflowError:  # An integer or a fraction beyond every float.
        rate = math.inf
    if not math.isfinite(rate):
        raise ValueError(f"Argument `{name}` must be finite. Received: {name}={value!r}")
    return rate


def as_top_rate(value: object) -> float:
    """Returns a valid `top_rate`: a float in (0, 1]."""
    rate = as_rate("top_rate", value)
    if not 0.0 < rate <= 1.0:
        raise ValueError(
            "Argument `top_rate` must be in (0, 1], the share of the feature maps that are "
            f"candidates. Received: top_rate={value!r}"
        )
    return rate


def as_final_rate(value: object) -> float:
    """Returns a valid `final_rate` of a curriculum: a float in [0, 1]."""
    rate = as_rate("final_rate", value)
    if not 0.0 <= rate <= 1.0:
        raise ValueError(f"Argument `final_rate` must be in [0, 1]. Received: final_rate={value!r}")
    return rate


def as_steps(value: object) -> int:
    """Returns a valid `steps` of a curriculum: a positive integer."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 1:
        raise ValueError(f"Argument `steps` must be a positive integer. Received: steps={value!r}")
    return int(value)


def as_retaining_rate(value: object, *, divides: bool) -> float | LearningRateSchedule:
    """Returns a valid `retaining_rate`: a float, or a schedule that stays in its range.

    Args:
        value: What the user gave.
        divides: Whether the method divides by the rate, so that 0 is out of its range.
    """
    interval = "(0, 1]" if divides else "[0, 1]"
    if isinstance(value, LearningRateSchedule):
        steps, rates = _probe(value)
        inside = (rates > 0 if divides else rates >= -TOLERANCE) & (rates <= 1 + TOLERANCE)
        if not inside.all():
            first = np.argmin(inside)
            raise ValueError(
                f"Argument `retaining_rate` must stay in {interval} at every step of its "
                f"schedule. Received: retaining_rate={type(value).__name__}, which gives "
                f"{rates[first]:g} at step {steps[first]}"
            )
        return value
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(
            "Argument `retaining_rate` must be a number or a "
            "`keras.optimizers.schedules.LearningRateSchedule`. "
            f"Received: retaining_rate={value!r} (of type {type(value).__name__})"
        )
    rate = as_rate("retaining_rate", value)
    if rate < 0 or rate > 1 or (divides and rate == 0):
        raise ValueError(
            f"Argument `retaining_rate` must be in {interval}"
            f"{', because the method divides by it' if divides else ''}. "
            f"Received: retaining_rate={value!r}"
        )
    return rate


def smallest_divisor(dtype: str) -> float:
    """Returns the smallest rate, a normal float32 number, whose inverse is finite in `dtype`."""
    return max(1 / float(ml_dtypes.finfo(dtype).max), float(np.finfo("float32").tiny))


def check_inverse_fits(retaining_rate: float | LearningRateSchedule, dtype: str) -> None:
    """Raises where 1 / retaining_rate is beyond the largest number of `dtype`."""
    rate, where = _lowest(retaining_rate)
    smallest = smallest_divisor(dtype)
    if rate < smallest:
        raise ValueError(
            f"Argument `retaining_rate` must be at least {smallest:.3g} in {dtype}, because "
            f"the method divides by it. Received: retaining_rate={rate!r}{where}"
        )


def check_enough_candidates(top_rate: float, retaining_rate: float | LearningRateSchedule) -> None:
    """Raises where more feature maps are to be dropped than there are candidates."""
    rate, where = _lowest(retaining_rate)
    if 1 - rate > top_rate + TOLERANCE:
        raise ValueError(
            "Arguments `top_rate` and `retaining_rate` must satisfy "
            "1 - retaining_rate <= top_rate: what is dropped is picked from the top maps. "
            f"Received: top_rate={top_rate!r}, retaining_rate={rate:.6g}{where}"
        )


def _lowest(retaining_rate: float | LearningRateSchedule) -> tuple[float, str]:
    """Returns the lowest rate, and where it was found as words for a message."""
    if not isinstance(retaining_rate, LearningRateSchedule):
        return retaining_rate, ""
    steps, rates = _probe(retaining_rate)
    lowest = np.argmin(rates)
    return float(rates[lowest]), f" at step {steps[lowest]} of its schedule"


def _probe(schedule: LearningRateSchedule) -> tuple[np.ndarray, np.ndarray]:
    """Returns steps and the values of the schedule there."""
    # A layer may be created while a graph is being traced, in a scope without values or on a device
    # without data. All of these are kept by thread, so that a new thread computes numbers.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(_values_of, schedule).result()


def _values_of(schedule: LearningRateSchedule) -> tuple[np.ndarray, np.ndarray]:
    """Returns steps and the values of the schedule there, computed in one call if possible."""
    steps = ops.convert_to_tensor(PROBED_STEPS, "int32")
    # Keras' own are elementwise, except for those that branch with `ops.cond`, which can be mapped.
    for at_once in (schedule, lambda steps: ops.vectorized_map(schedule, steps)):
        try:
            rates = ops.convert_to_numpy(at_once(steps))
        except Exception:  # A custom schedule may branch in Python on the value of its step.
            continue
        if rates.shape == PROBED_STEPS.shape:
            return PROBED_STEPS, rates
    few = FEW_PROBED_STEPS
    return few, np.array([float(ops.convert_to_numpy(schedule(int(s)))) for s in few])
