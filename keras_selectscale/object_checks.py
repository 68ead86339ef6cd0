"""Checks of arguments that are objects: counts, sequences, instances, paths, names."""

import contextlib
import itertools
import numbers
import os
import pathlib
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from keras_selectscale.checks import (
    ArgumentError,
    ArgumentTypeError,
    ArgumentValueError,
    as_choice,
    shown,
    type_error,
    value_error,
)

# Some file systems do not allow longer names.
LONGEST_NAME = 255
# More items than any argument has: a generator may never end, and a range may not fit in memory.
LONGEST_SEQUENCE = 2**20


def as_positive_integer(name: str, value: Any, high: int) -> int:
    """Returns an integer from 1 to `high` as an int; anything else is a `ValueError`."""
    integer = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not integer or not 1 <= value <= high:
        raise value_error(name, f"a positive integer of at most {high}", value)
    return int(value)


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
    items: tuple[Any, ...] | None = None
    with contextlib.suppress(Exception):  # A scalar array or tensor claims to be iterable.
        if isinstance(value, Iterable) and not unordered:
            items = tuple(itertools.islice(value, LONGEST_SEQUENCE + 1))
    if items is None:
        raise type_error(name, "a list or tuple", value)
    if len(items) > LONGEST_SEQUENCE:
        raise value_error(name, f"a list or tuple of at most {LONGEST_SEQUENCE:,} items", value)
    return items


def as_instances(name: str, value: Any, kind: type, expected: str) -> tuple[Any, ...]:
    """Returns a sequence of instances of `kind` as a tuple."""
    items = as_sequence(name, value)
    if not all(isinstance(item, kind) for item in items):
        raise type_error(name, f"a list or tuple of {expected}", value)
    return items


def as_boolean(name: str, value: Any) -> bool:
    """Returns `True` or `False`; anything else is a `TypeError`."""
    return as_instance(name, value, bool, "a bool")


def as_string(name: str, value: Any) -> str:
    """Returns a string; anything else is a `TypeError`."""
    return as_instance(name, value, str, "a string")


def as_instance(name: str, value: Any, kinds: type | tuple[type, ...], expected: str) -> Any:
    """Returns an instance of `kinds`, which `expected` describes; else raises a `TypeError`."""
    if not isinstance(value, kinds):
        raise type_error(name, expected, value)
    return value


def as_path(name: str, value: Any) -> pathlib.Path:
    """Returns a path with `~` expanded.

    Args:
        name: Name of the argument.
        value: The received value.

    Raises:
        TypeError: If `value` is not a string or path.
        ValueError: If it is empty, contains a null character or half of one, or names an unknown
            user's home.
    """
    if not isinstance(value, str | os.PathLike) or not isinstance(os.fspath(value), str):
        raise type_error(name, "a path", value)
    text = os.fspath(value)
    if not text or "\0" in text or not _can_be_encoded(text):
        raise value_error(name, "a path", value)
    if any(len(os.fsencode(part)) > LONGEST_NAME for part in pathlib.PurePath(text).parts):
        raise value_error(name, f"a path of names of at most {LONGEST_NAME} bytes", value)
    try:
        return pathlib.Path(text).expanduser()
    except RuntimeError:
        raise value_error(name, "a path whose home folder exists", value) from None


def as_file_name(name: str, value: Any) -> str:
    """Returns a plain name that may become a file or folder: no separator, no `.` or `..`.

    Names from the command line and names read from files both go through this check, so that
    nothing is written outside the folder that the user named.

    Args:
        name: Name of the argument.
        value: The received value.

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
        or not _can_be_encoded(text)
        or len(os.fsencode(text)) > LONGEST_NAME
    ):
        raise value_error(name, "a plain name that can become a file or folder", value)
    return text


def asked(name: str, function: Callable[[Any], Any], about: Any) -> Any:
    """Returns what a function that is an argument returns, or names the argument if it fails.

    Raises:
        TypeError: If the function raises a `TypeError`, such as if it takes other arguments.
        ValueError: If it raises another error. One about an argument, and an `OSError`, are raised
            as they are.
    """
    try:
        return function(about)
    except (ArgumentError, OSError):
        raise
    except Exception as error:
        received = f"{type(error).__name__}: {shown(str(error))} for {shown(about)}"
        message = f"Argument `{name}` must return an answer without an error. Received: {received}"
        kind = ArgumentTypeError if isinstance(error, TypeError) else ArgumentValueError
        raise kind.about(name, message) from error


def _can_be_encoded(text: str) -> bool:
    """Returns whether the file system has names like this: not with half of a character in it."""
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        return False
    return True
