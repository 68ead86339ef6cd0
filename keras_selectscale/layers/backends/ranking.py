"""Masks of the highest values of each row: by ranks (the reference), and by counting (for XLA).

Scores are compared as integers, because comparisons of floating-point numbers differ between
backends on -0, on NaN and on denormals.

XLA on a CPU sorts slowly, each row separately and on one thread, and takes long to compile a loop.
A few keys are compared with all keys of their row at once, in one loop. For more keys, the
threshold that `count` of them reach is found bit by bit, from the highest bit down, by counting the
keys that reach it, in about 20 counts.
"""

import math
from typing import Any

import keras
import ml_dtypes
from keras import ops

# Keys in a row up to which comparing all pairs takes about as long as the search.
FEW_KEYS = 64
KEY_BITS = 32
LOWEST_KEY = -(2**31)
MAGNITUDE = 0x7FFFFFFF
INFINITY = 0x7F800000
SMALLEST_NORMAL = 0x00800000
# The bits of minus infinity; negative numbers with larger bits are NaN.
HIGHEST_NEGATIVE = INFINITY - 2**31


def magnitude_keys(bits: Any) -> Any:
    """Returns int32 keys in the order of the magnitude of float32 numbers.

    Args:
        bits: int32 tensor of the bits of the numbers.

    Returns:
        An int32 tensor of the same shape, 0 for 0 and denormals, the highest for infinity and NaN.
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
    # Ranks are the inverse permutation. They are sorted as floats, because XLA's top-k of int32 is
    # unreliable on TensorFlow; channel numbers are exact in float32.
    return ops.cast(ops.argsort(ops.cast(order, "float32"), axis=-1), "int32")


def top_k_mask_by_rank(values: Any, count: Any) -> Any:
    """Returns a boolean mask of exactly the `count` highest values of each row.

    Args:
        values: float32 or float64 tensor of shape (batch, channels), as in `ranks`.
        count: Number of entries to mark, an int or a scalar int tensor.

    Returns:
        A boolean tensor of the same shape.
    """
    return ranks(values) < count


def top_k_mask_by_counting(keys: Any, count: Any) -> Any:
    """Returns a boolean mask of exactly the `count` highest keys of each row.

    Args:
        keys: int32 tensor of shape (batch, channels), below the highest int32. Among equal keys,
            the lower index wins.
        count: Number of entries to mark, an int or a scalar int32 tensor.

    Returns:
        A boolean tensor of the same shape.
    """
    channels = keys.shape[1]
    if channels is not None and channels <= FEW_KEYS:
        return by_pairs(keys, count)
    return by_bits(keys, count)


def by_pairs(keys: Any, count: Any) -> Any:
    """Returns `top_k_mask_by_counting`: fewer than `count` keys come before the highest ones."""
    index = ops.arange(ops.shape(keys)[1], dtype="int32")
    # An earlier key comes before its equals: it is higher than the key minus 1.
    earlier = ops.cast(ops.expand_dims(index, 1) < index, "int32")
    is_before = ops.expand_dims(keys, 2) + earlier > ops.expand_dims(keys, 1)
    return ops.sum(ops.cast(is_before, "int32"), axis=1) < count


def by_bits(keys: Any, count: Any) -> Any:
    """Returns `top_k_mask_by_counting`: the keys that reach a threshold, made distinct by place."""
    channels = ops.shape(keys)[1]
    count = ops.minimum(ops.cast(count, "int32"), channels)
    # The search is over the key and, among equal keys, the place counted from the end.
    place = ops.expand_dims(ops.arange(channels - 1, -1, -1, dtype="int32"), 0)
    known = keys.shape[1]
    place_bits = KEY_BITS - 1 if known is None else (known - 1).bit_length()

    def reaching(key: Any, least: Any) -> Any:
        return ops.logical_or(keys > key, ops.logical_and(keys == key, place >= least))

    def goes_on(bit: Any, key: Any, least: Any, reached: Any) -> Any:
        return ops.any(reached != count)

    def try_bit(bit: Any, key: Any, least: Any, reached: Any) -> tuple[Any, Any, Any, Any]:
        in_key = bit >= place_bits
        of_key = ops.left_shift(1, ops.maximum(bit - place_bits, 0))
        of_place = ops.left_shift(1, ops.minimum(bit, place_bits))
        # The highest bit is the sign. The lowest key has it, so it is removed.
        higher = ops.bitwise_xor(key, ops.where(in_key, of_key, 0))
        later = ops.bitwise_xor(least, ops.where(in_key, 0, of_place))
        found = row_count(reaching(higher, later))
        enough = found >= count
        return (
            bit - 1,
            ops.where(enough, higher, key),
            ops.where(enough, later, least),
            ops.where(enough, found, reached),
        )

    key = ops.full_like(keys[:, :1], LOWEST_KEY)
    state = (
        ops.convert_to_tensor(KEY_BITS + place_bits - 1, "int32"),
        key,
        ops.zeros_like(key),
        ops.full_like(key, channels),
    )
    _, key, least, _ = ops.while_loop(goes_on, try_bit, state)
    return reaching(key, least)


def row_count(mask: Any) -> Any:
    """Returns the number of true entries of each row, int32 of shape (batch, 1)."""
    # A product runs on all cores and in vectors, unlike XLA's sum over a row. It is exact, because
    # float32 holds every integer up to 2**24.
    ones = ops.ones((ops.shape(mask)[1], 1), dtype="float32")
    return ops.cast(ops.matmul(ops.cast(mask, "float32"), ones), "int32")
