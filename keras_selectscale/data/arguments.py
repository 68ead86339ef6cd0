"""Validation of the arguments that several files of this room take."""

import numbers

# Seeds and steps become int64 in TensorFlow.
LARGEST = 2**63 - 1


def as_integer(name: str, value: object, smallest: int) -> int:
    """Returns `value` as an int from `smallest` to 2**63 - 1, or raises naming the argument."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(
            f"Argument `{name}` must be an integer. "
            f"Received: {name}={value!r} (of type {type(value).__name__})"
        )
    if not smallest <= int(value) <= LARGEST:
        raise ValueError(
            f"Argument `{name}` must be from {smallest} to 2**63 - 1. Received: {name}={value!r}"
        )
    return int(value)
