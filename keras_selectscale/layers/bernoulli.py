"""Factors that are 0 or 1 / p."""

from typing import Any

import keras
from keras import ops

from keras_selectscale.layers import factors


def inverse(retaining_rate: Any, dtype: str) -> Any:
    """Returns 1 / p as a scalar tensor of `dtype`, rounded once."""
    if isinstance(retaining_rate, float):  # `ops.cast` would round it to float32 before float64.
        return ops.convert_to_tensor(1.0 / retaining_rate, dtype)
    return ops.cast(1.0 / retaining_rate, dtype)


def inverted_bernoulli(
    shape: tuple, retaining_rate: Any, dtype: str, seed: keras.random.SeedGenerator
) -> Any:
    """Draws r / p, r ~ Bernoulli(p), each entry independently.

    Args:
        shape: Shape of the result.
        retaining_rate: p in (0, 1], a float or a scalar float32 tensor.
        dtype: Floating-point dtype of the result.
        seed: Random state, advanced by one.

    Returns:
        A tensor of 0 and 1 / p.
    """
    kept = factors.uniform(shape, 0.0, 1.0, seed) < retaining_rate
    scale = inverse(retaining_rate, dtype)
    return ops.where(kept, scale, ops.zeros_like(scale))
