"""Scores: how important a feature map is, for each sample by itself (Section 2.3).

Each takes the inputs and the axis of their channels and gives a tensor of shape (batch, channels);
higher is more important. Each may be taken apart from the layers.
"""

from typing import Any

import keras
from keras import ops

from keras_selectscale.layers import layout


def max_score(inputs: Any, channel_axis: int) -> Any:
    """Returns max |y| over the spatial positions: the paper's score.

    Args:
        inputs: Feature maps of rank 3 to 5.
        channel_axis: Axis of the channels, counted from the front.

    Returns:
        A tensor of shape (batch, channels) in the dtype of `inputs`, exact in every precision.
    """
    axes = layout.spatial_axes(channel_axis, len(inputs.shape))
    # Without `initial` a batch of no samples has no maximum.
    return ops.max(ops.abs(inputs), axis=axes, initial=0)


def global_average_score(inputs: Any, channel_axis: int) -> Any:
    """Returns the mean of |y| over the spatial positions: tried in Section 2.3, and worse.

    Args:
        inputs: Feature maps of rank 3 to 5.
        channel_axis: Axis of the channels, counted from the front.

    Returns:
        A tensor of shape (batch, channels), summed in float32 or better.
    """
    magnitude = ops.abs(at_least_float32(inputs))
    return ops.mean(magnitude, axis=layout.spatial_axes(channel_axis, len(inputs.shape)))


def at_least_float32(values: Any) -> Any:
    """Returns `values` in float32 where they are narrower, which keeps their order."""
    if keras.backend.standardize_dtype(values.dtype) in ("float32", "float64"):
        return values
    return ops.cast(values, "float32")
