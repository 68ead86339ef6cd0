"""Parts that the networks share: checks of the builders' arguments, and blocks.

Each block takes `x` and passes it along.
"""

import numbers
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import keras
from keras import layers, ops

from keras_selectscale.checks import ArgumentValueError, as_choice, as_integer, value_error
from keras_selectscale.models.drop_sites import DropSites

# Larger networks take minutes to fail on most machines. The largest published one, ResNet-1202, is
# far below.
LARGEST_DEPTH = 2_000
LARGEST_WIDTH = 1_000
LARGEST_SIZE = 2**16
MOST_CLASSES = 2**20
MOST_WEIGHTS = 2**31
MOST_CONVOLUTIONS = 4_000

# The papers' batch normalization: PyTorch's momentum 0.1, which Keras calls 0.9.
BN_MOMENTUM = 0.9
BN_EPSILON = 1e-5


class ImageArguments(NamedTuple):
    """Checked arguments of a builder."""

    input_shape: tuple[int | None, ...]
    classes: int
    data_format: str


def check_image_arguments(input_shape: Any, classes: Any, data_format: Any) -> ImageArguments:
    """Checks the arguments that all builders take.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If an argument is out of range.
    """
    if data_format is None:
        data_format = keras.config.image_data_format()
    as_choice("data_format", data_format, ("channels_last", "channels_first"))
    classes = as_integer("classes", classes, 1, MOST_CLASSES)
    return ImageArguments(_input_shape(input_shape, data_format), classes, data_format)


def _input_shape(value: Sequence[int | None], data_format: str) -> tuple[int | None, ...]:
    expected = (
        "three sizes, those of an image without the batch axis, with a known number of channels"
    )
    sizes = tuple(value) if isinstance(value, (tuple, list)) else ()
    for size in sizes:
        if size is not None:
            if isinstance(size, bool) or not isinstance(size, numbers.Integral) or size < 1:
                raise value_error("input_shape", expected, value)
            as_integer("input_shape", size, 1, LARGEST_SIZE)
    if len(sizes) != 3 or sizes[channel_axis(data_format) - 1] is None:
        raise value_error("input_shape", expected, value)
    return tuple(None if size is None else int(size) for size in sizes)


def check_size(weights: int, convolutions: int, **arguments: int) -> None:
    """Raises a `ValueError` if a network of some arguments is too large, before it is built.

    Args:
        weights: Approximate number of its weights.
        convolutions: Number of its convolutions.
        **arguments: Arguments that decide it.
    """
    for count, most, things in (
        (weights, MOST_WEIGHTS, "weights"),
        (convolutions, MOST_CONVOLUTIONS, "convolutions"),
    ):
        if count > most:
            received = ", ".join(f"{name}={value}" for name, value in arguments.items())
            first = next(iter(arguments))
            raise ArgumentValueError.about(
                first,
                f"Argument `{first}` must be small enough for a network of at most {most:,} "
                f"{things}. Received: {received}, which makes about {count:,}",
            )


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
    """Returns `conv` followed by batch normalization. The arguments are those of `conv`."""
    x = conv(
        x,
        filters,
        name,
        kernel_size=kernel_size,
        strides=strides,
        groups=groups,
        data_format=data_format,
    )
    return batch_norm(x, name, data_format=data_format)


def conv(
    x: Any,
    filters: int,
    name: str,
    *,
    kernel_size: int = 3,
    strides: int = 1,
    groups: int = 1,
    data_format: str,
) -> Any:
    """Returns a convolution without bias, with He initialization."""
    if strides > 1:
        x = symmetric_padding(x, kernel_size, name, data_format=data_format)
    return _conv(
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


def batch_norm(x: Any, name: str, *, data_format: str) -> Any:
    """Returns batch normalization with the momentum and the epsilon of the papers."""
    return layers.BatchNormalization(
        axis=channel_axis(data_format),
        momentum=BN_MOMENTUM,
        epsilon=BN_EPSILON,
        name=f"{name}_bn",
    )(x)


def conv_bn_relu(x: Any, filters: int, name: str, **kwargs: Any) -> Any:
    """Returns `conv_bn` followed by a ReLU. The arguments are those of `conv_bn`."""
    return layers.ReLU(name=f"{name}_relu")(conv_bn(x, filters, name, **kwargs))


def bn_relu(x: Any, name: str, *, data_format: str) -> Any:
    """Returns batch normalization followed by a ReLU."""
    return layers.ReLU(name=f"{name}_relu")(batch_norm(x, name, data_format=data_format))


def symmetric_padding(x: Any, kernel_size: int, name: str, *, data_format: str) -> Any:
    """Returns `x` padded with the same number of zeros on both sides, as in the papers.

    With `padding="same"`, a window of stride 2 is shifted by one position, while a shortcut of
    stride 2 is not.
    """
    if kernel_size == 1:
        return x
    return layers.ZeroPadding2D(kernel_size // 2, data_format=data_format, name=f"{name}_pad")(x)


def _conv(x: Any, filters: int, name: str, groups: int, **kwargs: Any) -> Any:
    """Returns a grouped convolution, built from one layer per group.

    It has the outputs and parameters of one `Conv2D(filters, ..., groups=groups)`, which takes
    about 30 times as long with TensorFlow and JAX on a CPU. All backends build the same layers, so
    that a file from one loads on another.
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
    """Returns option A of He et al. 2016a: a strided identity with zeros for new channels."""
    if strides > 1:
        # A window of one position samples what a strided 1x1 convolution would see.
        x = layers.AveragePooling2D(
            1, strides=strides, data_format=data_format, name=f"{name}_shortcut_stride"
        )(x)
    missing = filters - x.shape[channel_axis(data_format)]
    if missing:
        # Uses a Keras layer, so that a saved network loads without this package. It pads two
        # adjacent axes; with the other data format, the channels are one of them.
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
    """Returns a group of bottleneck blocks. From group 2 on, the first one halves the resolution.

    A block is 1x1-BN-ReLU, 3x3-BN-ReLU, 1x1-BN, add, ReLU, with the stride in the 3x3 convolution.
    If the shape changes, the shortcut is a projection: a 1x1 convolution with BN.

    Args:
        x: The images or feature maps.
        count: Number of blocks.
        group: Number of the group, from 1.
        width: Filters of the first two convolutions of a block.
        filters: Filters of the output of a block.
        cardinality: Groups of the 3x3 convolution.
        drops: Inserts the drops.
        drop_behind: Parts of a block that a site follows: "1" and "2", after the ReLU of these
            convolutions; "3" and "shortcut", after the BN and before the addition.
        data_format: `"channels_last"` or `"channels_first"`.
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
    """Returns logits of shape (batch, classes), which are float32 under a mixed policy too."""
    x = layers.GlobalAveragePooling2D(data_format=data_format, name="pool")(x)
    half = keras.config.dtype_policy().compute_dtype in ("float16", "bfloat16")
    return layers.Dense(classes, dtype="float32" if half else None, name="logits")(x)
