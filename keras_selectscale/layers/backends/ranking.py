"""The highest of each row: by their ranks, the reference, and by bisection, for compilers.

Scores are compared as integers, because comparisons of floating-point numbers differ between
backends on -0, on NaN and on denormals.

XLA on a CPU sorts slowly, each row separately and on one thread. Counting how many keys reach a
threshold is a product with a vector. Halving the range of the threshold between two counts finds
the k-th key in about 15 counts, whatever k is, and in 31 at most.
"""

import math
from typing import Any

import keras
import ml_dtypes
from keras import ops

MAGNITUDE = 0x7FFFFFFF
INFINITY = 0x7F800000
SMALLEST_NORMAL = 0x00800000
# The bits of minus infinity: what is above them and negative is NaN.
HIGHEST_NEGATIVE = INFINITY - 2**31


def magnitude_keys(bits: Any) -> Any:
    """Returns int32 keys in the order of the magnitude of float32 numbers.

    Args:
        bits: int32 tensor of the bits of the numbers.

    Returns:
        An int32 tensor of the same shape: 0 for 0 and denormals, the highest for infinity and NaN.
    """
    keys = ops.minimum(ops.bitwise_and(bits, MAGNITUDE), INFINITY)
    return ops.where(keys < SMALLEST_NORMAL, 0, keys)


def sort_keys(bits: Any) -> Any:
    """Returns int32 keys in the order of float32 numbers, -0 and denormals as 0, NaN as infinity.

    Args:
        bits: int32 tensor of the bits of the numbers.

    Returns:
        An int32 tensor of the same shape.
    """
    keys = magnitude_keys(bits)
    is_number = ops.bitwise_and(bits, MAGNITUDE) <= INFINITY
    return ops.where(ops.logical_and(bits < 0, is_number), -keys, keys)


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


def top_k_mask_by_rank(values: Any, count: Any) -> Any:
    """Returns a boolean mask of exactly the `count` highest values of each row.

    Args:
        values: float32 or float64 tensor of shape (batch, channels), as in `ranks`.
        count: How many, an int or a scalar int tensor.

    Returns:
        A boolean tensor of the same shape.
    """
    return ranks(values) < count


def top_k_mask_by_bisection(keys: Any, count: Any) -> Any:
    """Returns a boolean mask of exactly the `count` highest keys of each row.

    Args:
        keys: int32 tensor of shape (batch, channels), none the highest int32. Of equal keys the
            lower index wins.
        count: How many, an int or a scalar int32 tensor.

    Returns:
        A boolean tensor of the same shape.
    """
    channels = ops.shape(keys)[1]
    count = ops.minimum(ops.cast(count, "int32"), channels)
    # In each row `low` is reached by `reached` keys, at least `count`, and `high` by fewer.
    low = ops.min(keys, axis=1, keepdims=True)
    high = ops.max(keys, axis=1, keepdims=True) + 1
    reached = ops.full_like(low, channels)

    def goes_on(low: Any, high: Any, reached: Any) -> Any:
        return ops.any(ops.logical_and(reached != count, low + 1 < high))

    def halve(low: Any, high: Any, reached: Any) -> tuple[Any, Any, Any]:
        # Half of the sum, which may not fit.
        middle = ops.right_shift(low, 1) + ops.right_shift(high, 1)
        middle = middle + ops.bitwise_and(ops.bitwise_and(low, high), 1)
        found = row_count(keys >= middle)
        enough = found >= count
        return (
            ops.where(enough, middle, low),
            ops.where(enough, high, middle),
            ops.where(enough, found, reached),
        )

    low, _, reached = ops.while_loop(goes_on, halve, (low, high, reached))
    mask = keys >= low
    excess = reached - count
    return ops.cond(
        ops.any(excess > 0),
        lambda: without_last_equals(keys, low, excess),
        lambda: mask,
    )


def without_last_equals(keys: Any, threshold: Any, excess: Any) -> Any:
    """Returns the mask of the keys that reach the threshold but for the last equal to it.

    Args:
        keys: int32 tensor of shape (batch, channels).
        threshold: int32 tensor of shape (batch, 1).
        excess: int32 tensor of shape (batch, 1), how many of the equal ones are left out.

    Returns:
        A boolean tensor of shape (batch, channels).
    """
    channels = ops.shape(keys)[1]
    index = ops.expand_dims(ops.arange(channels, dtype="int32"), 0)
    equal = keys == threshold
    kept = row_count(equal) - excess

    # The most leading channels that hold no more than `kept` of them: `low` do, `high` do not.
    def halve(low: Any, high: Any) -> tuple[Any, Any]:
        middle = ops.right_shift(low + high, 1)
        fits = row_count(ops.logical_and(equal, index < middle)) <= kept
        return ops.where(fits, middle, low), ops.where(fits, high, middle)

    low = ops.zeros_like(kept)
    leading, _ = ops.while_loop(
        lambda low, high: ops.any(low + 1 < high), halve, (low, ops.full_like(low, channels + 1))
    )
    return ops.logical_or(keys > threshold, ops.logical_and(equal, index < leading))


def row_count(mask: Any) -> Any:
    """Returns how many are true in each row, int32 of shape (batch, 1)."""
    # A product runs on all cores and in vectors, where XLA's sum over a row does not. Exact:
    # float32 holds every integer up to 2**24.
    ones = ops.ones((ops.shape(mask)[1], 1), dtype="float32")
    return ops.cast(ops.matmul(ops.cast(mask, "float32"), ones), "int32")
