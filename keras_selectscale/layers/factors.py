"""The random state of a layer, and factors that are drawn from it.

Every draw is made in float32 and rounded once: the uniform numbers of a half precision have too few
values for a probability of 0.9, and can lie beyond the ends of a range.
"""

import contextlib
import math
from typing import Any

import keras
import ml_dtypes
from keras import ops

from keras_selectscale.layers.backends import fast_call

STATE_KEY = "seed_state"
# The state of every backend holds it: int64 on TensorFlow, uint32 on JAX, int32 on PyTorch.
MAX_SEED = 2**31 - 1
# From 1 to the next number, at least as in float32. (`finfo` breaks graphs of `torch.compile`.)
FLOATS = ("float8_e4m3fn", "float8_e5m2", "bfloat16", "float16", "float32", "float64")
SPACINGS = {name: max(float(ml_dtypes.finfo(name).eps), 2.0**-23) for name in FLOATS}


class DropSeedGenerator(keras.random.SeedGenerator):
    """A `keras.random.SeedGenerator` of which each `tf.distribute` replica draws its own seeds."""

    def __init__(self, seed: int | None = None, **kwargs: Any):
        with (fast_call("on_host") or contextlib.nullcontext)():
            super().__init__(seed, **kwargs)

    def next(self, ordered: bool = True) -> Any:
        """Returns the seed of the next draw, a tensor of shape (2,), and advances the state."""
        fast = fast_call("next_seed") if ordered else None
        seed = fast(self.state) if fast else super().next(ordered=ordered)
        fold_in_replica = fast_call("fold_in_replica")
        return fold_in_replica(seed) if fold_in_replica else seed


def save_seed_state(generator: keras.random.SeedGenerator, store: dict) -> None:
    """Adds the state to the `store` of a layer's `save_own_variables`."""
    # In one dtype for all backends, so that a file that one has written loads on another.
    store[STATE_KEY] = ops.convert_to_numpy(generator.state).astype("int64")


def load_seed_state(generator: keras.random.SeedGenerator | None, store: dict) -> dict:
    """Restores the state, if there is one, and returns the store without it; `None` ignores it."""
    if generator is not None and STATE_KEY in store.keys():
        state = ops.convert_to_numpy(store[STATE_KEY]).astype("int64")
        # The seeds are 32 bits wide: a signed dtype holds the same bits as a negative number.
        dtype = keras.backend.standardize_dtype(generator.state.dtype)
        generator.state.assign(state.astype("uint32").astype(dtype) if dtype != "int64" else state)
    return {key: store[key] for key in store.keys() if key != STATE_KEY}


def uniform(shape: Any, minval: float, maxval: float, seed: keras.random.SeedGenerator) -> Any:
    """Draws float32 numbers from [minval, maxval), as `keras.random.uniform` does."""
    if fast := fast_call("uniform"):
        return fast(shape, minval, maxval, seed)
    return keras.random.uniform(shape, minval, maxval, dtype="float32", seed=seed)


def uniform_around_one(
    shape: tuple, half_width: Any, dtype: str, seed: Any, mask: Any = None
) -> Any:
    """Draws r ~ Uniform(1 - h, 1 + h), each entry independently and all in the closed range.

    The half-width h in [0, 1] is a float or a scalar float32 tensor. If a boolean mask of the shape
    of the result is given, r is 1 where it is false.
    """
    # On a grid around 1 that is exact in `dtype`: rounded to the nearest number, a draw could lie
    # beyond an end of the range, and numbers are denser below 1 than above.
    spacing = SPACINGS[dtype]
    width = half_width / spacing
    furthest = float(math.floor(width)) if isinstance(width, float) else ops.floor(width)
    noise = uniform(shape, -1.0, 1.0, seed)
    if mask is not None:  # Several times as fast as a choice on PyTorch.
        noise = noise * ops.cast(mask, "float32")
    compute = fast_call("around_one") or around_one
    return ops.cast(compute(noise, width, furthest, spacing), dtype)


def around_one(noise: Any, width: Any, furthest: Any, spacing: float) -> Any:
    """Returns 1 + `spacing` * n; n is the integer nearest to `noise * width`, up to `furthest`."""
    return 1.0 + spacing * ops.clip(ops.round(noise * width), -furthest, furthest)


def computed_once(factor: Any) -> Any:
    """Returns a factor of one number per feature map, in a form that a compiler computes once."""
    return fast(factor) if (fast := fast_call("computed_once")) else factor


def apply(factor: Any, inputs: Any, may_drop: bool) -> Any:
    """Returns `factor * inputs`, and 0 where the factor is 0, for infinity and NaN too.

    The same holds for the gradient. `factor` broadcasts to `inputs`, and is a constant for it. If
    it cannot be 0 (`may_drop` is false), this is the plain product.
    """
    if fast := fast_call("apply_factor"):
        return fast(factor, inputs, may_drop)
    return factor * (ops.where(factor == 0, ops.zeros_like(factor), inputs) if may_drop else inputs)
