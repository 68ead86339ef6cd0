"""Scores besides the maximum: those that the paper tried (Section 2.3), and two controls.

A score takes the inputs and the axis of their channels and returns a tensor of shape (batch,
channels); a higher score is more important. The controls select as many maps as any other score,
and show whether it matters which ones.
"""

import math
from typing import Any

import keras
from keras import ops

from keras_selectscale.layers import factors, feature_maps
from keras_selectscale.layers.configs import create
from keras_selectscale.layers.selection import SCORES, at_least_float32, max_score
from keras_selectscale.object_checks import as_positive_integer

# Larger than any feature map; the size of a pooling window has 32 bits.
LARGEST_WINDOW = 2**16


def global_average_score(inputs: Any, channel_axis: int) -> Any:
    """Returns the mean of |y| over the spatial positions, which the paper found to be worse.

    Args:
        inputs: Feature maps of rank 3 to 5.
        channel_axis: Axis of the channels, counted from the front.

    Returns:
        A tensor of shape (batch, channels), summed in float32 or better.
    """
    magnitude = ops.abs(at_least_float32(inputs))
    return ops.mean(magnitude, axis=feature_maps.spatial_axes(channel_axis, len(inputs.shape)))


@keras.saving.register_keras_serializable(package="keras_selectscale")
class AveragePoolScore:
    """The maximum over the positions of the local averages of |y| (Section 2.3).

    The paper tried several windows and strides: "the performance gets worse when enlarging the
    pooling window". `score="average_pool"` uses the defaults.

    Args:
        window: Edge of the pooling window in positions, at least 1, cut to the edge of a smaller
            map. 1 is `max_score`.
        strides: Step of the window in positions, at least 1.

    Raises:
        ValueError: If an argument is not a positive integer.
    """

    def __init__(self, window: int = 3, strides: int = 1):
        self.window = as_positive_integer("window", window, LARGEST_WINDOW)
        self.strides = as_positive_integer("strides", strides, LARGEST_WINDOW)

    def __call__(self, inputs: Any, channel_axis: int) -> Any:
        """Returns the scores.

        Args:
            inputs: Feature maps of rank 3 to 5.
            channel_axis: Axis of the channels, counted from the front.

        Returns:
            A tensor of shape (batch, channels).
        """
        rank = len(inputs.shape)
        magnitude = ops.abs(at_least_float32(inputs))
        if channel_axis != rank - 1:  # TensorFlow pools only channels_last on a CPU.
            magnitude = ops.moveaxis(magnitude, channel_axis, -1)
        if rank == 5 and keras.backend.backend() == "tensorflow":
            magnitude = ops.cast(magnitude, "float32")  # It pools no float64 in 3-D on a CPU.
        magnitude = self._fill_window(magnitude)
        window = tuple(
            self.window if size is None else min(self.window, size)
            for size in magnitude.shape[1:-1]
        )
        pooled = ops.average_pool(
            magnitude, window, self.strides, padding="valid", data_format="channels_last"
        )
        # Without `initial`, an empty batch has no maximum.
        return ops.max(pooled, axis=feature_maps.spatial_axes(rank - 1, rank), initial=0)

    def _fill_window(self, magnitude: Any) -> Any:
        """Pads axes of unknown size to the window and corrects the averages for the zeros."""
        known, sizes = magnitude.shape, ops.shape(magnitude)
        padding = [(0, 0)] * len(sizes)
        for axis in range(1, len(sizes) - 1):
            if known[axis] is None:
                missing = ops.maximum(self.window - sizes[axis], 0)
                padding[axis] = (0, missing)
                filled = ops.cast(sizes[axis] + missing, magnitude.dtype)
                magnitude *= filled / ops.cast(sizes[axis], magnitude.dtype)
        return magnitude if None not in known[1:-1] else ops.pad(magnitude, padding)

    def get_config(self) -> dict[str, int]:
        """Returns all arguments."""
        return {"window": self.window, "strides": self.strides}

    @classmethod
    def from_config(cls, config: dict[str, int]) -> "AveragePoolScore":
        """Creates the score from `get_config()`."""
        return create(cls, config)


def lowest_score(inputs: Any, channel_axis: int) -> Any:
    """Returns -max |y|, a control that selects the least important maps.

    As in `max_score`, NaN counts as infinity: such a map is selected last.

    Args:
        inputs: Feature maps of rank 3 to 5.
        channel_axis: Axis of the channels, counted from the front.

    Returns:
        A tensor of shape (batch, channels), float32 or better.
    """
    highest = at_least_float32(max_score(inputs, channel_axis))
    return -ops.where(ops.isnan(highest), ops.full_like(highest, math.inf), highest)


def random_score(inputs: Any, channel_axis: int, seed: keras.random.SeedGenerator) -> Any:
    """Returns random numbers, a control that selects maps at random, anew for each sample.

    Args:
        inputs: Feature maps of rank 3 to 5, of which only the shape is used.
        channel_axis: Axis of the channels, counted from the front.
        seed: Random state of the layer, advanced by one.

    Returns:
        A float32 tensor of shape (batch, channels).
    """
    shape = (ops.shape(inputs)[0], inputs.shape[channel_axis])
    return factors.uniform(shape, 0.0, 1.0, seed)


# Tells a layer to hand on its random state.
random_score.draws = True  # type: ignore[attr-defined]

SCORES["average_pool"] = AveragePoolScore()
SCORES["global_average"] = global_average_score
SCORES["lowest"] = lowest_score
SCORES["random"] = random_score
