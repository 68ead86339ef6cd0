"""The score that pools before it takes the maximum."""

import numbers
from typing import Any

import keras
from keras import ops

from keras_selectscale.layers import layout, scores


@keras.saving.register_keras_serializable(package="keras_selectscale")
class AveragePoolScore:
    """The maximum over the positions of the local averages of |y| (Section 2.3).

    The paper tried it with several windows and strides: "the performance gets worse when enlarging
    the pooling window". `score="average_pool"` is this one with its defaults.

    Args:
        window: Edge of the pooling window in positions, at least 1; it is cut to the edge of a
            smaller map. 1 gives `max_score`.
        strides: Step of the window in positions, at least 1.

    Raises:
        ValueError: Where either is no positive integer.
    """

    def __init__(self, window: int = 3, strides: int = 1):
        for name, value in (("window", window), ("strides", strides)):
            if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 1:
                raise ValueError(
                    f"Argument `{name}` must be a positive integer. Received: {name}={value!r}"
                )
        self.window = int(window)
        self.strides = int(strides)

    def __call__(self, inputs: Any, channel_axis: int) -> Any:
        """Returns the scores.

        Args:
            inputs: Feature maps of rank 3 to 5.
            channel_axis: Axis of the channels, counted from the front.

        Returns:
            A tensor of shape (batch, channels).
        """
        rank = len(inputs.shape)
        magnitude = ops.abs(scores.at_least_float32(inputs))
        if channel_axis != rank - 1:  # TensorFlow pools on the CPU in channels_last alone.
            magnitude = ops.moveaxis(magnitude, channel_axis, -1)
        magnitude = self._fill_window(magnitude)
        window = tuple(
            self.window if size is None else min(self.window, size)
            for size in magnitude.shape[1:-1]
        )
        pooled = ops.average_pool(
            magnitude, window, self.strides, padding="valid", data_format="channels_last"
        )
        return ops.max(pooled, axis=layout.spatial_axes(rank - 1, rank))

    def _fill_window(self, magnitude: Any) -> Any:
        """Pads axes of unknown size to the window, and scales what a zero adds to the average."""
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
        """Returns both arguments."""
        return {"window": self.window, "strides": self.strides}

    @classmethod
    def from_config(cls, config: dict[str, int]) -> "AveragePoolScore":
        """Makes the score again from `get_config()`."""
        return cls(**config)
