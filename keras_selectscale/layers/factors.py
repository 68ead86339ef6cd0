"""Pure functions that draw factors.

Every draw is made in float32 and rounded once: half a precision's own uniforms have too few values
for a probability of 0.9, and steps over the ends of a range.
"""

from typing import Any

import keras
import ml_dtypes
import numpy as np
from keras import ops


def inverted_bernoulli(
    shape: tuple, retaining_rate: Any, dtype: str, seed: keras.random.SeedGenerator
) -> Any:
    """Draws r / p, r ~ Bernoulli(p), each entry by itself.

    Args:
        shape: Shape of the result.
        retaining_rate: p in (0, 1], a float or a scalar float32 tensor.
        dtype: Floating-point dtype of the result.
        seed: Random state, advanced by one.

    Returns:
        A tensor of 0 and 1 / p.
    """
    kept = keras.random.uniform(shape, dtype="float32", seed=seed) < retaining_rate
    return ops.where(kept, ops.cast(1.0 / retaining_rate, dtype), ops.cast(0, dtype))


def uniform_around_one(
    shape: tuple, half_width: Any, dtype: str, seed: keras.random.SeedGenerator
) -> Any:
    """Draws r ~ Uniform(1 - h, 1 + h), each entry by itself.

    Args:
        shape: Shape of the result.
        half_width: h in [0, 1], a float or a scalar float32 tensor.
        dtype: Floating-point dtype of the result.
        seed: Random state, advanced by one.

    Returns:
        A tensor whose every value, as rounded to `dtype`, is in the closed range.
    """
    if isinstance(half_width, float):
        half_width = _round_down(half_width)
    noise = keras.random.uniform(shape, -1.0, 1.0, dtype="float32", seed=seed)
    factor = ops.cast(1.0 + half_width * noise, dtype)
    # Rounding to the nearest may step over an end by less than one spacing: step back.
    outside = ops.abs(ops.cast(factor, "float32") - 1.0) > half_width
    spacing = float(ml_dtypes.finfo(dtype).eps)
    return ops.where(outside, factor - ops.cast(ops.sign(noise) * spacing, dtype), factor)


def _round_down(value: float) -> float:
    rounded = np.float32(value)
    return float(rounded if rounded <= value else np.nextafter(rounded, np.float32(0)))
