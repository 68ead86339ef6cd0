"""Functions that are faster in PyTorch than in `keras.ops`."""

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import torch

try:  # These have no public names.
    from torch._C import _len_torch_dispatch_stack as dispatch_modes
    from torch._C._functorch import peek_interpreter_stack as functorch_level
except ImportError:
    functorch_level = None  # type: ignore[assignment]

from keras_selectscale.layers import feature_maps
from keras_selectscale.layers.backends import ranking
from keras_selectscale.layers.backends.ranking import (
    INFINITY,
    MAGNITUDE,
    SMALLEST_NORMAL,
    sort_keys,
)

# Number of adjacent values from which on PyTorch reduces in vectors.
WIDE = 128
# Up to this row length, NumPy's partition is a vectorized sort and several times as fast as
# PyTorch's, which runs the rows in parallel.
NUMPY_SORTS = 256
HAS_ACCELERATOR = torch.accelerator.is_available()


def next_seed(state: Any) -> Any:
    """Returns the state of a seed generator, and advances it as Keras does."""
    seed = state.value.clone()
    advanced = seed.clone()
    advanced[1].add_(1)
    state.assign(advanced)
    return seed


def on_host() -> Any:
    """Returns the scope in which the state of a seed generator is created.

    A draw needs its seed as a number. Read from an accelerator, it would wait for all the work that
    is queued there.
    """
    return keras.device("cpu")


def uniform(shape: Any, minval: float, maxval: float, seed: Any) -> Any:
    """Draws float32 numbers from [minval, maxval), those of `keras.random.uniform`."""
    state = seed.next()
    if state.is_meta:
        return torch.empty(shape, dtype=torch.float32, device=state.device)
    draw = _drawn if torch.compiler.is_compiling() else _from_zero_to_one
    numbers = draw(state, shape, _device_of_draws(state))
    return numbers if (minval, maxval) == (0, 1) else numbers.mul_(maxval - minval).add_(minval)


def _device_of_draws(state: torch.Tensor) -> torch.device:
    """Returns the device of Keras, or that to which the state was moved with its model."""
    if not HAS_ACCELERATOR or not state.is_cpu:
        return state.device
    return keras.ops.empty((0,)).device


def _from_zero_to_one(
    state: torch.Tensor, shape: Sequence[int], device: torch.device
) -> torch.Tensor:
    generator = torch.Generator(device)
    generator.manual_seed(sum(state.tolist()) & 0xFFFFFFFF)
    return torch.rand(shape, generator=generator, dtype=torch.float32, device=device)


# `torch.compile` cannot trace a generator. An operator is a node of its graph and breaks nothing.
_drawn = torch.library.custom_op("keras_selectscale::uniform", _from_zero_to_one, mutates_args=())


@_drawn.register_fake
def _(state: torch.Tensor, shape: Sequence[int], device: torch.device) -> torch.Tensor:
    return torch.empty(shape, dtype=torch.float32, device=device)


def around_one(noise: Any, width: Any, furthest: Any, spacing: float) -> Any:
    """Returns `factors.around_one`, in the memory of `noise`."""
    steps = noise.mul_(width).round_().clamp_(-furthest, furthest)
    return steps.mul_(spacing).add_(1.0)


def apply_factor(factor: Any, inputs: Any, may_drop: bool) -> Any:
    """Returns `factors.apply`.

    PyTorch has no product that ignores a factor of 0, and its `where` takes three times as long as
    the product. This operation returns its first argument where the second is not 0.
    """
    if not may_drop:
        return factor * inputs
    return torch.ops.aten.hardshrink_backward(inputs, factor, 0.0).mul_(factor)


def top_k_mask(values: Any, count: Any) -> Any:
    """Returns `ranking.top_k_mask_by_rank` of float32 values."""
    if values.is_meta:
        return torch.empty_like(values, dtype=torch.bool)
    keys = sort_keys(values.view(torch.int32))
    if isinstance(count, torch.Tensor):
        if not count.is_cpu:  # To read it would wait for the accelerator.
            return ranking.by_pairs(keys, count)
        count = int(count)
    return _mark(keys, count)


def max_score_mask(inputs: Any, channel_axis: int, count: int) -> Any:
    """Returns the mask of the `count` maps of each sample with the highest `max_score`."""
    bits = _max_score(inputs, channel_axis).view(torch.int32)
    # Computes the order of `ranking.magnitude_keys` in place: 0 equals denormals, and infinity
    # equals NaN.
    keys = bits.bitwise_and(MAGNITUDE).clamp_(SMALLEST_NORMAL - 1, INFINITY)
    return _mark(keys, count)


def _mark(keys: Any, count: int) -> Any:
    channels = keys.shape[1]
    if not 0 < count < channels:
        return torch.full_like(keys, count > 0, dtype=torch.bool)
    # PyTorch guarantees no order of equal keys, so the index makes all keys different.
    index = torch.arange(channels - 1, -1, -1, device=keys.device)
    keys_apart = torch.add(index, keys, alpha=channels)
    if channels <= NUMPY_SORTS and _is_readable(keys_apart):
        numbers, place = keys_apart.numpy(), channels - count
        lowest = np.partition(numbers, place, axis=1)[:, place : place + 1]
        return torch.from_numpy(numbers >= lowest)
    highest = torch.topk(keys_apart, count, dim=1, sorted=False).values
    return keys_apart >= highest.amin(1, keepdim=True)


def _is_readable(values: Any) -> bool:
    """Returns whether a tensor is on a CPU and is nothing but its values."""
    if torch.compiler.is_compiling() or functorch_level is None:
        return False
    # No transformation of `torch.func` and no tracing is active.
    is_quiet = functorch_level() is None and dispatch_modes() == 0
    return is_quiet and values.is_cpu and type(values) is torch.Tensor


def _max_score(inputs: Any, channel_axis: int) -> Any:
    axes = feature_maps.spatial_axes(channel_axis, inputs.ndim)
    if _has_fast_norm(inputs):
        values = torch.linalg.vector_norm(inputs, math.inf, dim=axes)
    elif channel_axis != inputs.ndim - 1:
        values = torch.maximum(inputs.amax(axes), -inputs.amin(axes))
    else:
        positions = math.prod(inputs.shape[1:-1])
        values = _max_of_columns(inputs.reshape(inputs.shape[0], positions, inputs.shape[-1]))
    return values.to(torch.float32)


def _has_fast_norm(inputs: Any) -> bool:
    return inputs.is_cuda  # One kernel; a CPU would compute value by value.


def _max_of_columns(maps: Any) -> Any:
    batch, positions, channels = maps.shape
    # Puts enough positions next to each other to make a row wide enough for vectors.
    beside = math.gcd(positions, 1 << ((WIDE - 1) // channels).bit_length())
    rows = maps.reshape(batch, positions // beside, beside * channels)
    is_magnitude = _is_never_negative(maps)
    values = rows.amax(1)
    if not is_magnitude:
        values = torch.maximum(values, -rows.amin(1))
    return values if beside == 1 else values.reshape(batch, beside, channels).amax(1)


def _is_never_negative(maps: Any) -> bool:
    """Returns whether no value is below 0, as after a ReLU, if that can be read cheaply."""
    if len(maps) == 0 or not _is_readable(maps):
        return False
    # The lowest of all values takes a fraction of the time of the lowest of each column, and a few
    # of them almost always reveal a negative value early.
    return all(part.amin().item() >= 0 for part in (maps[0, 0], maps))
