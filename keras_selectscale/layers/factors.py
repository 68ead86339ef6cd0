"""Pure functions that draw factors and apply them.

Every draw is made in float32 and rounded once: half a precision's own uniforms have too few values
for a probability of 0.9, and steps over the ends of a range.
"""

import math
from typing import Any

import keras
import ml_dtypes
from keras import ops

from keras_selectscale.layers import draws
from keras_selectscale.layers.backends import fast_call

FLOAT32_SPACING = 2.0**-23


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
    kept = draws.uniform(shape, 0.0, 1.0, seed) < retaining_rate
    scale = inverse(retaining_rate, dtype)
    return ops.where(kept, scale, ops.zeros_like(scale))


def inverse(retaining_rate: Any, dtype: str) -> Any:
    """Returns 1 / p as a scalar tensor of `dtype`, rounded once."""
    if isinstance(retaining_rate, float):  # `ops.cast` would round it to float32 before float64.
        return ops.convert_to_tensor(1.0 / retaining_rate, dtype)
    return ops.cast(1.0 / retaining_rate, dtype)


def uniform_around_one(
    shape: tuple,
    half_width: Any,
    dtype: str,
    seed: keras.random.SeedGenerator,
    mask: Any = None,
) -> Any:
    """Draws r ~ Uniform(1 - h, 1 + h), each entry by itself, or only where a mask says so.

    Args:
        shape: Shape of the result.
        half_width: h in [0, 1], a float or a scalar float32 tensor.
        dtype: Floating-point dtype of the result.
        seed: Random state, advanced by one.
        mask: Boolean tensor of `shape`; where it is false r is 1. `None` is true everywhere.

    Returns:
        A tensor of `dtype` whose mean is 1 and whose every value is in the closed range.
    """
    # On a grid about 1 that is exact in `dtype`: rounded to the nearest number, a draw may lie
    # beyond an end of the range, and the sides of 1 differ, since numbers are closer below 1.
    spacing = max(float(ml_dtypes.finfo(dtype).eps), FLOAT32_SPACING)
    width = half_width / spacing
    furthest = float(math.floor(width)) if isinstance(width, float) else ops.floor(width)
    noise = draws.uniform(shape, -1.0, 1.0, seed)
    if mask is not None:  # Several times as fast as a choice on PyTorch.
        noise = noise * ops.cast(mask, "float32")
    compute = fast_call("around_one") or around_one
    return ops.cast(compute(noise, width, furthest, spacing), dtype)


def around_one(noise: Any, width: Any, furthest: Any, spacing: float) -> Any:
    """Returns 1 plus `spacing` times the nearest integer to `noise * width`, held to a range.

    Args:
        noise: float32 tensor; it may be written over.
        width: Number, or scalar float32 tensor.
        furthest: The highest magnitude of the integer, likewise.
        spacing: Of the grid.
    """
    steps = ops.clip(ops.round(noise * width), -furthest, furthest)
    return 1.0 + spacing * steps


def computed_once(factor: Any) -> Any:
    """Returns the factor itself, where a compiler needs it in a form that is computed only once.

    Args:
        factor: Tensor of one number a feature map, without NaN.
    """
    fast = fast_call("computed_once")
    return factor if fast is None else fast(factor)


def apply(factor: Any, inputs: Any) -> Any:
    """Returns `factor * inputs`, and 0 where the factor is 0, whatever the input is there.

    The gradient is treated alike. A plain product of 0 and infinity or NaN is NaN.

    Args:
        factor: Tensor in the dtype of `inputs` that broadcasts to it, a constant for the gradient.
        inputs: The layer's input.
    """
    fast = fast_call("apply_factor")
    if fast is not None:
        return fast(factor, inputs)
    return factor * ops.where(factor == 0, ops.zeros_like(factor), inputs)
