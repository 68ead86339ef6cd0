"""Rates: the values that a search draws, and the check of a `retaining_rate`."""

import numbers
from collections.abc import Callable
from typing import Any

import ml_dtypes

from keras_selectscale.checks import ArgumentValueError, as_number, shown, type_error
from keras_selectscale.layers import factors

# The values that a search draws by default: tenths, as in the paper (Tables 1 and 2, Figure 4).
TOP_RATES = tuple(tenth / 10 for tenth in range(1, 11))
SCALE_RATES = tuple(tenth / 10 for tenth in range(10))
DROPOUT_RATES = tuple(tenth / 10 for tenth in range(5, 10))
# The smallest rate, a normal float32 number, whose inverse is finite, by dtype.
SMALLEST_DIVISORS = {
    name: max(1 / float(ml_dtypes.finfo(name).max), 2.0**-126) for name in factors.FLOATS
}
# Checks of rates that are not numbers, by class; `schedules.py` adds its own.
CHECKS: dict[type, Callable[[Any, str | None], None]] = {}


def as_retaining_rate(value: Any, divides_in: str | None = None) -> Any:
    """Returns a valid `retaining_rate`: a float, or a schedule that stays in its range.

    Args:
        value: The received value.
        divides_in: Dtype in which the method divides by the rate; `None` if it does not.
    """
    for kind, check in CHECKS.items():
        if isinstance(value, kind):
            check(value, divides_in)
            return value
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        expected = "a number or a `keras.optimizers.schedules.LearningRateSchedule`"
        raise type_error("retaining_rate", expected, value)
    rate = as_number("retaining_rate", value)
    if not 0 <= rate <= 1 or (divides_in and rate == 0):
        interval = "(0, 1], because the method divides by it" if divides_in else "[0, 1]"
        raise error(f"be in {interval}", shown(value))
    check_inverse_fits(rate, divides_in)
    return rate


def check_inverse_fits(rate: float, dtype: str | None, where: str = "") -> None:
    """Raises a `ValueError` if 1 / rate exceeds the largest number of a dtype."""
    if dtype and rate < (smallest := SMALLEST_DIVISORS[dtype]):
        expected = f"be at least {smallest:.3g} in {dtype}, because the method divides by it"
        raise error(expected, f"{rate!r}{where}")


def error(expected: str, received: str) -> ArgumentValueError:
    """Returns the error for an invalid rate; `expected` follows "must"."""
    message = f"Argument `retaining_rate` must {expected}. Received: retaining_rate={received}"
    return ArgumentValueError.about("retaining_rate", message)
