"""Argument checks: one function per kind of argument, and the errors that they raise.

A message states the argument, what was expected and what was received. The error carries the
argument's name, from which the command line derives the option.
"""

import math
import numbers
import typing
from collections.abc import Collection, Iterable, Mapping
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
    """An argument has a value that is not allowed."""


def type_error(name: str, expected: str, value: object) -> ArgumentTypeError:
    """Returns the error for a value of the wrong type; `expected` follows "must be"."""
    received = f"{name}={shown(value)} (of type {type(value).__name__})"
    message = f"Argument `{name}` must be {expected}. Received: {received}"
    return ArgumentTypeError.about(name, message)


def value_error(name: str, expected: str, value: object) -> ArgumentValueError:
    """Returns the error for a value that is not allowed; `expected` follows "must be"."""
    message = f"Argument `{name}` must be {expected}. Received: {name}={shown(value)}"
    return ArgumentValueError.about(name, message)


def shown(value: object) -> str:
    """Returns the `repr` of a value in one line of at most about 200 characters."""
    try:
        text = " ".join(repr(value).split())
    except Exception as error:  # A broken `repr` must not hide the error that is being reported.
        text = f"<{type(value).__name__} whose repr raises {type(error).__name__}>"
    if len(text) <= LONGEST_ECHO:
        return text
    return f"{text[:LONGEST_ECHO]}… ({len(text):,} characters)"


def as_integer(
    name: str, value: Any, low: int | None = None, high: int | None = LARGEST_INT64
) -> int:
    """Returns an integer in [low, high] as an int; booleans are not integers."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise type_error(name, "an integer", value)
    number = int(value)
    if (low is not None and number < low) or (high is not None and number > high):
        if high is None or high == LARGEST_INT64:
            bounds = "of at most 2**63 - 1" if low is None else f"of at least {low}"
        else:
            bounds = f"of at most {high}" if low is None else f"from {low} to {high}"
        raise value_error(name, f"an integer {bounds}", number)
    return number


def as_number(
    name: str,
    value: Any,
    low: float = -math.inf,
    high: float = math.inf,
    *,
    above: bool = False,
    below: bool = False,
) -> float:
    """Returns a finite number in [low, high] as a float, without `low` if `above` and so on."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise type_error(name, "a number", value)
    try:
        number = float(value)
    except OverflowError:  # An integer or a fraction beyond the largest float.
        number = math.inf
    if not math.isfinite(number):
        raise value_error(name, "finite", value)
    if number < low or number > high or (above and number == low) or (below and number == high):
        interval = f"in {'(' if above else '['}{low:g}, {high:g}{')' if below else ']'}"
        if low == -math.inf:
            interval = f"{'below' if below else 'at most'} {high:g}"
        elif high == math.inf:
            interval = f"{'above' if above else 'at least'} {low:g}"
        raise value_error(name, interval, value)
    return number


def as_choice(name: str, value: Any, choices: Collection[str]) -> str:
    """Returns one of some strings; anything else is a `ValueError`."""
    if not isinstance(value, str) or value not in choices:
        raise value_error(name, f"one of {', '.join(map(repr, choices))}", value)
    return value


def as_choices(name: str, value: Any, choices: Collection[str]) -> tuple[str, ...]:
    """Returns a sequence of one or more different strings of `choices` as a tuple."""
    values = as_sequence(name, value)
    for one in values:
        as_choice(name, one, choices)
    if not values or len(set(values)) < len(values):
        raise value_error(name, "one or more different names", value)
    return values


def as_sequence(name: str, value: Any) -> tuple[Any, ...]:
    """Returns the items of a list, tuple or range as a tuple; strings, sets and mappings fail."""
    unordered = isinstance(value, str | bytes | Mapping | set | frozenset)
    try:
        if isinstance(value, Iterable) and not unordered:
            return tuple(value)
    except Exception:  # A scalar array or tensor claims to be iterable.
        pass
    raise type_error(name, "a list or tuple", value)


def as_boolean(name: str, value: Any) -> bool:
    """Returns `True` or `False`; anything else is a `TypeError`."""
    return as_instance(name, value, bool, "True or False")


def as_string(name: str, value: Any) -> str:
    """Returns a string; anything else is a `TypeError`."""
    return as_instance(name, value, str, "a string")


def as_callable(name: str, value: Any, expected: str = "callable") -> Any:
    """Returns something callable; anything else is a `TypeError`."""
    if not callable(value):
        raise type_error(name, expected, value)
    return value


def as_instance(name: str, value: Any, kinds: type | tuple[type, ...], expected: str) -> Any:
    """Returns an instance of `kinds`, which `expected` describes; else raises a `TypeError`."""
    if not isinstance(value, kinds):
        raise type_error(name, expected, value)
    return value
