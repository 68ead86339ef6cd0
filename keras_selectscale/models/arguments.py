"""Validation of the arguments that all builders take."""

import numbers
from collections.abc import Sequence
from typing import Any

import keras


def as_positive_integer(name: str, value: Any) -> int:
    """Returns `value` as an int of at least 1, or raises naming the argument."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(
            f"Argument `{name}` must be an integer. "
            f"Received: {name}={value!r} (of type {type(value).__name__})"
        )
    if value < 1:
        raise ValueError(f"Argument `{name}` must be at least 1. Received: {name}={value!r}")
    return int(value)


def as_data_format(value: str | None) -> str:
    """Returns the data format, `None` as `keras.config.image_data_format()`."""
    if value is None:
        return keras.config.image_data_format()
    if value not in ("channels_last", "channels_first"):
        raise ValueError(
            'Argument `data_format` must be "channels_last", "channels_first" or None. '
            f"Received: data_format={value!r}"
        )
    return value


def as_input_shape(value: Sequence[int | None], axis: int) -> tuple[int | None, ...]:
    """Returns an image's shape; height and width may be `None`, the channels may not."""
    shape = tuple(value) if isinstance(value, (tuple, list)) else ()
    known = all(
        size is None or (isinstance(size, numbers.Integral) and int(size) > 0) for size in shape
    )
    if not known or len(shape) != 3 or shape[axis - 1] is None:
        raise ValueError(
            "Argument `input_shape` must be three sizes, those of an image without the batch axis, "
            f"with a known number of channels. Received: input_shape={value!r}"
        )
    return shape
