"""The pieces that the networks share. Each takes `x` and passes it along."""

from collections.abc import Collection
from typing import Any

import keras
from keras import layers, ops

from keras_selectscale.models.drop_sites import DropSites

# The papers' batch normalisation: PyTorch's momentum 0.1, which is 0.9 in Keras' sense.
BN_MOMENTUM = 0.9
BN_EPSILON = 1e-5


def channel_axis(data_format: str) -> int:
    """Returns the axis of the channels of an image batch."""
    return 3 if data_format == "channels_last" else 1


def conv_bn(
    x: Any,
    filters: int,
    name: str,
    *,
    kernel_size: int = 3,
    strides: int = 1,
    groups: int = 1,
    data_format: str,
) -> Any:
    """Returns a convolution without bias, initialised after He, with batch normalisation."""
    if strides > 1:
        x = symmetric_padding(x, kernel_size, name, data_format=data_format)
    x = _conv(
        x,
        filters,
        f"{name}_conv",
        groups,
        kernel_size=kernel_size,
        strides=strides,
        padding="same" if strides == 1 else "valid",
        use_bias=False,
        kernel_initializer="he_normal",
        data_format=data_format,
    )
    return layers.BatchNormalization(
        axis=channel_axis(data_format),
        momentum=BN_MOMENTUM,
        epsilon=BN_EPSILON,
        name=f"{name}_bn",
    )(x)


def conv_bn_relu(x: Any, filters: int, name: str, **kwargs: Any) -> Any:
    """Returns `conv_bn`, whose arguments these are, behind a ReLU."""
    return layers.ReLU(name=f"{name}_relu")(conv_bn(x, filters, name, **kwargs))


def symmetric_padding(x: Any, kernel_size: int, name: str, *, data_format: str) -> Any:
    """Returns `x` with as many zeros on one side as on the other, as the papers pad.

    Under `padding="same"` a window of stride 2 sees one position further to the right instead,
    while a shortcut of stride 2 does not.
    """
    if kernel_size == 1:
        return x
    return layers.ZeroPadding2D(kernel_size // 2, data_format=data_format, name=f"{name}_pad")(x)


def _conv(x: Any, filters: int, name: str, groups: int, **kwargs: Any) -> Any:
    """Returns a convolution in `groups` groups, each a layer of its own where there are more.

    The numbers and the parameters are those of one `Conv2D(filters, …, groups=groups)`, which on a
    CPU takes TensorFlow and JAX some 30 times as long. Every backend has the same layers, so that
    a file from one loads on another.
    """
    if groups == 1:
        return layers.Conv2D(filters, name=name, **kwargs)(x)
    axis = channel_axis(kwargs["data_format"])
    parts = [
        layers.Conv2D(filters // groups, name=f"{name}_{number}", **kwargs)(part)
        for number, part in enumerate(ops.split(x, groups, axis=axis), start=1)
    ]
    return layers.Concatenate(axis=axis, name=f"{name}_concat")(parts)


def shortcut_without_parameters(
    x: Any, filters: int, name: str, *, strides: int, data_format: str
) -> Any:
    """Returns option A of He et al. 2016a: every other position, and zeros for new channels."""
    if strides > 1:
        # A window of one position takes what a strided 1x1 convolution would see.
        x = layers.AveragePooling2D(
            1, strides=strides, data_format=data_format, name=f"{name}_shortcut_stride"
        )(x)
    missing = filters - x.shape[channel_axis(data_format)]
    if missing:
        # A layer of Keras, so that a saved network loads without this package. It pads two
        # neighbouring axes; under the other data format the channels are one of them.
        last = data_format == "channels_last"
        x = layers.ZeroPadding2D(
            ((0, 0), (0, missing)) if last else ((0, missing), (0, 0)),
            data_format="channels_first" if last else "channels_last",
            name=f"{name}_shortcut_pad",
        )(x)
    return x


def bottlenecks(
    x: Any,
    count: int,
    *,
    group: int,
    width: int,
    filters: int,
    cardinality: int = 1,
    drops: DropSites,
    drop_behind: Collection[str],
    data_format: str,
) -> Any:
    """Returns a group of bottleneck blocks; the first of group 2 and up halves the resolution.

    A block is 1x1-BN-ReLU, 3x3-BN-ReLU, 1x1-BN, add, ReLU, with the stride in the 3x3. The
    shortcut is a 1x1 convolution with BN (a projection) where the shape changes.

    Args:
        x: The images or feature maps.
        count: Number of blocks.
        group: Number of the group, from 1.
        width: Filters of the first two convolutions of a block.
        filters: Filters that a block gives.
        cardinality: Groups of the 3x3 convolution.
        drops: What puts a drop at a site.
        drop_behind: Parts of a block behind which there is a site: "1" and "2", behind the ReLU of
            these convolutions; "3" and "shortcut", behind the BN and before the addition.
        data_format: Of Keras.
    """

    def drop(x: Any, block: str, part: str, channels: int) -> Any:
        return drops(x, f"{block}_{part}", group, channels) if part in drop_behind else x

    for number in range(1, count + 1):
        block = f"group{group}_block{number}"
        strides = 2 if group > 1 and number == 1 else 1
        shortcut = x
        x = conv_bn_relu(x, width, f"{block}_1", kernel_size=1, data_format=data_format)
        x = drop(x, block, "1", width)
        x = conv_bn_relu(
            x, width, f"{block}_2", strides=strides, groups=cardinality, data_format=data_format
        )
        x = drop(x, block, "2", width)
        x = conv_bn(x, filters, f"{block}_3", kernel_size=1, data_format=data_format)
        x = drop(x, block, "3", filters)
        if strides > 1 or shortcut.shape[channel_axis(data_format)] != filters:
            shortcut = conv_bn(
                shortcut,
                filters,
                f"{block}_shortcut",
                kernel_size=1,
                strides=strides,
                data_format=data_format,
            )
            shortcut = drop(shortcut, block, "shortcut", filters)
        x = layers.Add(name=f"{block}_add")([x, shortcut])
        x = layers.ReLU(name=f"{block}_relu")(x)
    return x


def classifier(x: Any, classes: int, *, data_format: str) -> Any:
    """Returns logits of shape (batch, classes), in float32 under a mixed policy too."""
    x = layers.GlobalAveragePooling2D(data_format=data_format, name="pool")(x)
    half = keras.config.dtype_policy().compute_dtype in ("float16", "bfloat16")
    return layers.Dense(classes, dtype="float32" if half else None, name="logits")(x)
