"""Checks of numbers and choices, and the errors of all checks, which carry the argument's name."""

import math
import numbers
import typing
from collections.abc import Collection
from typing import Any

LONGEST_ECHO = 200  # Received values are cut to this many characters.
LARGEST_INT64 = 2**63 - 1


class ArgumentError(Exception):
    """Base class of the errors about one argument, whose name is `argument`."""

    argument = ""

    @classmethod
    def about(cls, argument: str, message: str) -> typing.Self:
        """Returns an error about an argument."""
        error = cls(message)
        error.argument = argument
        return error


class ArgumentTypeError(ArgumentError, TypeError):
    """An argument has the wrong type."""


class ArgumentValueError(ArgumentError, ValueError):
    """An argument has an invalid value."""


def type_error(name: str, expected: str, value: object) -> ArgumentTypeError:
    """Returns the error for a value of the wrong type; `expected` follows "must be"."""
    received = f"{name}={shown(value)} (of type {type(value).__name__})"
    message = f"Argument `{name}` must be {expected}. Received: {received}"
    return ArgumentTypeError.about(name, message)


def value_error(name: str, expected: str, value: object) -> ArgumentValueError:
    """Returns the error for an invalid value; `expected` follows "must be"."""
    message = f"Argument `{name}` must be {expected}. Received: {name}={shown(value)}"
    return ArgumentValueError.about(name, message)


def shown(value: object) -> str:
    """Returns the `repr` of a value in one line of at most about 200 characters."""
    try:
        text = " ".join(repr(value).split())
    except Exception as error:  # A broken `repr` must not hide the error that is being reported.
        text = f"<{type(value).__name__} whose repr raises {type(error).__name__}>"
    cut = f"{text[:LONGEST_ECHO]}… ({len(text):,} characters)"
    return text if len(text) <= LONGEST_ECHO else cut


def as_integer(name: str, value: Any, low: Any = None, high: Any = LARGEST_INT64) -> int:
    """Returns an integer in [low, high] as an int; booleans are not integers."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise type_error(name, "an integer", value)
    number = int(value)
    if (low is not None and number < low) or (high is not None and number > high):
        most = "2**63 - 1" if high == LARGEST_INT64 else high
        bounds = f"of at most {most}" if low is None else f"from {low} to {most}"
        if low is not None and high in (None, LARGEST_INT64):
            bounds = f"of at least {low}"
        raise value_error(name, f"an integer {bounds}", number)
    return number


def as_number(
    name: str, value: Any, low: float = -math.inf, high: float = math.inf, *, above: bool = False
) -> float:
    """Returns a finite number in [low, high], or (low, high] if `above`, as a float."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise type_error(name, "a number", value)
    try:
        number = float(value)
    except OverflowError:  # An integer or a fraction beyond the largest float.
        number = math.inf
    if not math.isfinite(number):
        raise value_error(name, "finite", value)
    if number < low or number > high or (above and number == low):
        interval = f"in {'(' if above else '['}{low:g}, {high:g}]"
        if high == math.inf:
            interval = f"{'above' if above else 'at least'} {low:g}"
        raise value_error(name, interval, value)
    return number


def as_choice(name: str, value: Any, choices: Collection[str]) -> str:
    """Returns one of some strings; anything else is a `ValueError`."""
    if not isinstance(value, str) or value not in choices:
        raise value_error(name, f"one of {', '.join(map(repr, choices))}", value)
    return value
