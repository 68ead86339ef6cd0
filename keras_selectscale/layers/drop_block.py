"""DropBlock: contiguous regions of feature maps are dropped together."""

from typing import Any

import keras
from keras import ops

from keras_selectscale.checks import as_integer
from keras_selectscale.layers import factors, feature_maps, rates
from keras_selectscale.layers.feature_drop import FeatureDrop
from keras_selectscale.object_checks import as_boolean

# Larger than any feature map; the size of a pooling window has 32 bits.
LARGEST_BLOCK = 2**16


@keras.saving.register_keras_serializable(package="keras_selectscale")
class DropBlock(FeatureDrop):
    """Drops contiguous blocks of units at random and scales the remaining units up.

    Neighboring units of a feature map share information, so that dropping single units hides
    little. DropBlock drops every unit within a block.

        y = x * M * |M| / sum(M),   M = 0 within block_size of a corner, 1 elsewhere

    A corner is drawn at each position at which a whole block fits into the map, with probability

        gamma = (1 - p) * (h * w) / (b_h * b_w * (h - b_h + 1) * (w - b_w + 1))

    for a map of size (h, w) and blocks of size (b_h, b_w), and with one or three such axes for
    inputs of rank 3 or 5. Because blocks overlap, slightly fewer units than 1 - p are dropped. |M|
    and sum(M) count the units of one sample, so that no output depends on the other samples of the
    batch (the paper normalizes over the batch). A sample without remaining units is 0.

    Args:
        block_size: Edge of a block in positions, a positive integer, even or odd. On a map that is
            smaller along an axis, the block is cut to the map.
        retaining_rate: p in (0, 1], approximately the share of units that is kept, or a schedule of
            it. 1 is the identity.
        shared: Whether all feature maps of a sample share one mask. By default each map has its
            own, which the paper found to work better.
        {shared}

    Example:

    ```python
    keras.Sequential([keras.layers.Conv2D(16, 3), DropBlock(block_size=7, retaining_rate=0.9)])
    ```

    Reference:
        Ghiasi et al., "DropBlock: A regularization method for convolutional networks", NeurIPS
        2018, Section 3 and Algorithm 1.
    """

    method_name = "drop-block"
    method_title = "DropBlock"
    method_defaults = {"retaining_rate": 0.9}
    method_space = {"retaining_rate": rates.DROPOUT_RATES}
    divides_by_retaining_rate = True

    def __init__(
        self, *, block_size: int = 7, retaining_rate: Any, shared: bool = False, **kwargs: Any
    ):
        super().__init__(retaining_rate=retaining_rate, **kwargs)
        self.block_size = as_integer("block_size", block_size, 1, LARGEST_BLOCK)
        self.shared = as_boolean("shared", shared)

    def draw_factor(self, inputs: Any, retaining_rate: Any) -> Any:
        """Draws the normalized mask, of the shape of `inputs` or with one channel if shared."""
        rank = len(inputs.shape)
        sizes = ops.shape(inputs)
        spatial = feature_maps.spatial_axes(self.channel_axis(inputs), rank)
        channels = 1 if self.shared else sizes[self.channel_axis(inputs)]
        # Channels last, because TensorFlow pools in no other layout on a CPU.
        shape = (sizes[0], *(sizes[axis] for axis in spatial), channels)
        corners = factors.uniform(shape, 0.0, 1.0, self.seed_generator) < self._corner_rate(
            shape[1:-1], retaining_rate
        )
        fits = True
        for number, size in enumerate(shape[1:-1], start=1):
            last = size - ops.minimum(self.block_size, size)
            index = ops.reshape(ops.arange(size), [-1 if i == number else 1 for i in range(rank)])
            fits = ops.logical_and(fits, index <= last)
        dropped = self._blocks(ops.cast(ops.logical_and(corners, fits), "float32"))
        kept = 1.0 - dropped
        axes = tuple(range(1, rank))
        share = ops.mean(kept, axis=axes, keepdims=True)
        factor = kept / ops.where(share > 0, share, ops.ones_like(share))
        return factor if self.data_format == "channels_last" else ops.moveaxis(factor, -1, 1)

    def _corner_rate(self, sizes: tuple, retaining_rate: Any) -> Any:
        """Returns gamma, the probability of a corner."""
        rate = 1.0 - retaining_rate
        for size in sizes:
            size = ops.cast(size, "float32")
            block = ops.minimum(float(self.block_size), size)
            rate = rate * size / (block * (size - block + 1.0))
        return rate

    def _blocks(self, corners: Any) -> Any:
        """Returns the union of the blocks that start at the corners, by axis."""
        rank = len(corners.shape)
        for axis in range(1, rank - 1):
            edge = self.block_size
            if isinstance(corners.shape[axis], int):
                edge = min(edge, corners.shape[axis])
            if edge == 1:
                continue
            window = tuple(edge if each == axis else 1 for each in range(1, rank - 1))
            padding = [(edge - 1, 0) if each == axis else (0, 0) for each in range(rank)]
            corners = ops.max_pool(
                ops.pad(corners, padding),
                window,
                strides=1,
                padding="valid",
                data_format="channels_last",
            )
        return corners

    def get_config(self) -> dict[str, Any]:
        """Returns all arguments of the layer."""
        return {**super().get_config(), "block_size": self.block_size, "shared": self.shared}
