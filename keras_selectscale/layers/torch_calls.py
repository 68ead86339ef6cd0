"""What PyTorch does faster than `keras.ops`."""

import math
from collections.abc import Callable
from typing import Any

import torch

from keras_selectscale.layers import layout
from keras_selectscale.layers.sort_keys import INFINITY, MAGNITUDE, SMALLEST_NORMAL, sort_keys

# Numbers side by side from which on PyTorch reduces in vectors.
WIDE = 128


@torch.no_grad()
def top_k_mask(values: Any, count: Any) -> Any:
    """Returns `ranking.top_k_mask` of float32 values."""
    if isinstance(count, torch.Tensor):  # A number is wanted; the plain version compares.
        count = int(count)
    return _mark(sort_keys(values.view(torch.int32)), count)


@torch.no_grad()
def max_score_mask(inputs: Any, channel_axis: int, count: int) -> Any:
    """Returns the mask of the `count` maps of each sample with the highest `max_score`."""
    bits = _max_score(inputs, channel_axis).view(torch.int32)
    # In the order of `sort_keys.magnitude_keys`, in place: 0 and denormals are one, as are infinity
    # and NaN.
    keys = bits.bitwise_and(MAGNITUDE).clamp_(SMALLEST_NORMAL - 1, INFINITY)
    return _mark(keys, count)


def _mark(keys: Any, count: int) -> Any:
    # PyTorch promises no order of equal keys: with its index in it no key is like another.
    channels = keys.shape[1]
    index = torch.arange(channels - 1, -1, -1, device=keys.device)
    keys_apart = keys.to(torch.int64).mul_(channels).add_(index)
    chosen = torch.topk(keys_apart, min(count, channels), dim=1, sorted=False).indices
    return torch.zeros_like(keys, dtype=torch.bool).scatter_(1, chosen, True)


def _max_score(inputs: Any, channel_axis: int) -> Any:
    if channel_axis != inputs.ndim - 1:
        axes = layout.spatial_axes(channel_axis, inputs.ndim)
        values = torch.maximum(inputs.amax(axes), -inputs.amin(axes))
    else:
        maps = inputs.reshape(inputs.shape[0], -1, inputs.shape[-1])
        values = torch.maximum(_reduce(maps, torch.amax), -_reduce(maps, torch.amin))
    return values.to(torch.float32)


def _reduce(maps: Any, reduction: Callable[..., Any]) -> Any:
    batch, positions, channels = maps.shape
    # As many positions beside one another as make a row wide enough for vectors.
    beside = math.gcd(positions, 1 << ((WIDE - 1) // channels).bit_length())
    rows = reduction(maps.reshape(batch, positions // beside, beside * channels), 1)
    return rows if beside == 1 else reduction(rows.reshape(batch, beside, channels), 1)
