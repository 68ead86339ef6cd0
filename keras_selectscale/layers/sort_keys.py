"""Scores as integers that order in the same way.

What is compared as integers is compared alike by every backend, compiled or not: comparisons of
floating-point numbers differ on -0, on NaN and on denormals.
"""

from typing import Any

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
