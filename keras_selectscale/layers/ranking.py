"""The highest of each row by their ranks: the reference for the backends' own ways."""

import math
from typing import Any

import keras
import ml_dtypes
from keras import ops


def ranks(values: Any) -> Any:
    """Returns the rank of each value within its row: 0 is the highest, ties by lower index.

    Args:
        values: float32 or float64 tensor of shape (batch, channels). NaN ranks as infinity, and
            -0 and denormals as 0.

    Returns:
        An int32 tensor of the same shape, each row a permutation of 0 to channels - 1.
    """
    values = ops.where(ops.isnan(values), ops.full_like(values, math.inf), values)
    # XLA sorts -0 before 0, and denormals are 0 to one kernel and numbers to the next.
    smallest = float(ml_dtypes.finfo(keras.backend.standardize_dtype(values.dtype)).tiny)
    values = ops.where(ops.abs(values) < smallest, ops.zeros_like(values), values)
    order = ops.argsort(-values, axis=-1)  # Stable on every backend.
    # Ranks are the inverse permutation. Sorted as floats, since XLA's top-k of int32 is not to be
    # trusted on TensorFlow; channel numbers are exact in float32.
    return ops.cast(ops.argsort(ops.cast(order, "float32"), axis=-1), "int32")


def top_k_mask(values: Any, count: Any) -> Any:
    """Returns a boolean mask of exactly the `count` highest values of each row.

    Args:
        values: float32 or float64 tensor of shape (batch, channels), as in `ranks`.
        count: How many, an int or a scalar int tensor.

    Returns:
        A boolean tensor of the same shape.
    """
    return ranks(values) < count
