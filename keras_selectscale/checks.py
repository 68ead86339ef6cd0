"""Argument checks: one function per kind of argument, and the errors that they raise.

Every message states the argument, what was expected and what was received. The errors carry the
argument's name, from which the command line derives the option.
"""

import math
import numbers
import os
import pathlib
import typing
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

# Received values are echoed up to this many characters.
LONGEST_ECHO = 200
LARGEST_INT64 = 2**63 - 1
# Some file systems allow no longer name.
LONGEST_NAME = 255


class ArgumentError(Exception):
    """Base class of the errors about one argument.

    Attributes:
        argument: Name of the argument.
    """

    argument = ""

    @classmethod
    def about(cls, argument: str, message: str) -> typing.Self:
        """Returns an error about `argument`."""
        error = cls(message)
        error.argument = argument
        return error


class ArgumentTypeError(ArgumentError, TypeError):
    """An argument has the wrong type."""


class ArgumentValueError(ArgumentError, ValueError):
    """An argument has a value that is not allowed."""


def type_error(name: str, expected: str, value: object) -> ArgumentTypeError:
    """Returns the error for a value of the wrong type.

    Args:
        name: Name of the argument.
        expected: What it must be, to follow "must be".
        value: What was received.
    """
    return ArgumentTypeError.about(
        name,
        f"Argument `{name}` must be {expected}. "
        f"Received: {name}={shown(value)} (of type {type(value).__name__})",
    )


def value_error(name: str, expected: str, value: object) -> ArgumentValueError:
    """Returns the error for a value that is not allowed; see `type_error` for the arguments."""
    return ArgumentValueError.about(
        name, f"Argument `{name}` must be {expected}. Received: {name}={shown(value)}"
    )


def shown(value: object) -> str:
    """Returns the `repr` of a value in one line of at most about 200 characters."""
    try:
        text = repr(value)
    except Exception as error:  # A broken `repr` must not hide the error that is being reported.
        text = f"<{type(value).__name__} whose repr raises {type(error).__name__}>"
    text = " ".join(text.split())
    if len(text) > LONGEST_ECHO:
        text = f"{text[:LONGEST_ECHO]}… ({len(text):,} characters)"
    return text


def as_integer(
    name: str, value: Any, low: int | None = None, high: int | None = LARGEST_INT64
) -> int:
    """Returns `value` as a Python int; NumPy integers are accepted, booleans are not.

    Args:
        name: Name of the argument.
        value: What was received.
        low: Smallest allowed value, or `None`.
        high: Largest allowed value, or `None`.

    Raises:
        TypeError: If `value` is not an integer.
        ValueError: If it is out of range.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise type_error(name, "an integer", value)
    number = int(value)
    if (low is not None and number < low) or (high is not None and number > high):
        raise value_error(name, f"an integer {_range(low, high)}", number)
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
    """Returns `value` as a finite Python float; NumPy numbers and fractions are accepted.

    Args:
        name: Name of the argument.
        value: What was received.
        low: Lower bound.
        high: Upper bound.
        above: Whether `low` itself is excluded.
        below: Whether `high` itself is excluded.

    Raises:
        TypeError: If `value` is not a number.
        ValueError: If it is not finite or out of range.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise type_error(name, "a number", value)
    try:
        number = float(value)
    except OverflowError:  # An integer or a fraction beyond the largest float.
        number = math.inf
    if not math.isfinite(number):
        raise value_error(name, "finite", value)
    outside = number < low or number > high
    if outside or (above and number == low) or (below and number == high):
        raise value_error(name, _interval(low, high, above, below), value)
    return number


def as_boolean(name: str, value: Any) -> bool:
    """Returns `value`, or raises a `TypeError` if it is not `True` or `False`."""
    if not isinstance(value, bool):
        raise type_error(name, "True or False", value)
    return value


def as_string(name: str, value: Any) -> str:
    """Returns `value`, or raises a `TypeError` if it is not a string."""
    if not isinstance(value, str):
        raise type_error(name, "a string", value)
    return value


def as_choice(name: str, value: Any, choices: Collection[str]) -> str:
    """Returns `value`, or raises a `ValueError` if it is not one of some strings."""
    if not isinstance(value, str) or value not in choices:
        raise value_error(name, f"one of {', '.join(map(repr, choices))}", value)
    return value


def as_choices(name: str, value: Any, choices: Collection[str]) -> tuple[str, ...]:
    """Returns `value`, a sequence of one or more different strings of `choices`, as a tuple.

    Raises:
        TypeError: If `value` is not a sequence.
        ValueError: If an item is not among `choices` or occurs twice, or there is none.
    """
    values = as_sequence(name, value)
    for one in values:
        as_choice(name, one, choices)
    if not values or len(set(values)) < len(values):
        raise value_error(name, "one or more different names", value)
    return values


def as_sequence(name: str, value: Any) -> tuple[Any, ...]:
    """Returns the items of a list, tuple, range or other ordered iterable as a tuple.

    Raises:
        TypeError: If `value` is a string, a mapping, a set, or not iterable.
    """
    if isinstance(value, str | bytes | Mapping | set | frozenset) or not isinstance(
        value, Iterable
    ):
        raise type_error(name, "a list or tuple", value)
    try:
        return tuple(value)
    except Exception:  # A scalar array or tensor claims to be iterable.
        raise type_error(name, "a list or tuple", value) from None


def as_instance(name: str, value: Any, kinds: type | tuple[type, ...], expected: str) -> Any:
    """Returns `value`, or raises a `TypeError` if it is not an instance of `kinds`.

    Args:
        name: Name of the argument.
        value: What was received.
        kinds: Allowed class or classes.
        expected: What they are called in the message, with an article.
    """
    if not isinstance(value, kinds):
        raise type_error(name, expected, value)
    return value


def as_callable(name: str, value: Any, expected: str = "callable") -> Callable[..., Any]:
    """Returns `value`, or raises a `TypeError` if it cannot be called."""
    if not callable(value):
        raise type_error(name, expected, value)
    return value


def as_path(name: str, value: Any) -> pathlib.Path:
    """Returns a path with `~` expanded.

    Raises:
        TypeError: If `value` is not a string or path.
        ValueError: If it is empty, contains a null character, or names an unknown user's home.
    """
    if not isinstance(value, str | os.PathLike) or not isinstance(os.fspath(value), str):
        raise type_error(name, "a path", value)
    text = os.fspath(value)
    if not text or "\0" in text:
        raise value_error(name, "a path", value)
    try:
        return pathlib.Path(text).expanduser()
    except RuntimeError:
        raise value_error(name, "a path whose home folder exists", value) from None


def as_file_name(name: str, value: Any) -> str:
    """Returns a plain name that may become a file or folder: no separator, no `.` or `..`.

    Names from the command line and names read from files both go through this check, so that
    nothing is written outside the folder that the user named.

    Raises:
        TypeError: If `value` is not a string.
        ValueError: If it is not a plain name.
    """
    text = as_string(name, value)
    plain = pathlib.PurePath(text).name == text and text not in ("", ".", "..") and "\\" not in text
    if (
        not plain
        or text.startswith("-")
        or not text.isprintable()
        or len(os.fsencode(text)) > LONGEST_NAME
    ):
        raise value_error(name, "a plain name that can become a file or folder", value)
    return text


def _range(low: int | None, high: int | None) -> str:
    if high is None or high == LARGEST_INT64:
        return f"of at least {low}" if low is not None else "of at most 2**63 - 1"
    return f"from {low} to {high}" if low is not None else f"of at most {high}"


def _interval(low: float, high: float, above: bool, below: bool) -> str:
    if low == -math.inf:
        return f"{'below' if below else 'at most'} {high:g}"
    if high == math.inf:
        return f"{'above' if above else 'at least'} {low:g}"
    return f"in {'(' if above else '['}{low:g}, {high:g}{')' if below else ']'}"
