"""The pieces that the networks share. Each takes `x` and passes it along."""

from typing import Any

import keras
from keras import layers

# The papers' batch normalisation: PyTorch's momentum 0.1, which is 0.9 in Keras' sense.
BN_MOMENTUM = 0.9
BN_EPSILON = 1e-5


def channel_axis(data_format: str) -> int:
    """Returns the axis of the channels of an image batch."""
    return 3 if data_format == "channels_last" else 1


def conv_bn(
    x: Any, filters: int, name: str, *, kernel_size: int = 3, strides: int = 1, data_format: str
) -> Any:
    """Returns a convolution without bias, initialised after He, with batch normalisation."""
    x = layers.Conv2D(
        filters,
        kernel_size,
        strides=strides,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        data_format=data_format,
        name=f"{name}_conv",
    )(x)
    return layers.BatchNormalization(
        axis=channel_axis(data_format),
        momentum=BN_MOMENTUM,
        epsilon=BN_EPSILON,
        name=f"{name}_bn",
    )(x)


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


def classifier(x: Any, classes: int, *, data_format: str) -> Any:
    """Returns logits of shape (batch, classes), in float32 under a mixed policy too."""
    x = layers.GlobalAveragePooling2D(data_format=data_format, name="pool")(x)
    half = keras.config.dtype_policy().compute_dtype in ("float16", "bfloat16")
    return layers.Dense(classes, dtype="float32" if half else None, name="logits")(x)
