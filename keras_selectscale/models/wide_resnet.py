"""Wide residual networks as Zagoruyko and Komodakis published them."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from keras_selectscale.argument_names import named_arguments
from keras_selectscale.checks import as_integer, value_error
from keras_selectscale.models import blocks
from keras_selectscale.models.deep_graph import deep_model
from keras_selectscale.models.drop_sites import Drop, DropSites
from keras_selectscale.models.names import network_family

STEM_FILTERS = 16
GROUP_FILTERS = (16, 32, 64)


def exists(depth: int, width: int = 1) -> bool:
    """Returns whether a network of this depth exists."""
    return depth >= 10 and (depth - 4) % 6 == 0


@network_family(
    "wrn-D-K",
    r"wrn-(\d+)-(\d+)",
    "pre-activation wide residual network, depth D = 6n + 4 (wrn-28-10, wrn-16-8, wrn-40-4)",
    exists,
)
@named_arguments
def WideResNet(  # noqa: N802 - named as the builders of keras.applications are
    depth: int,
    width: int,
    *,
    drop: Drop = None,
    input_shape: Sequence[int | None] = (32, 32, 3),
    classes: int = 10,
    data_format: str | None = None,
    name: str | None = None,
) -> keras.Model:
    """Returns the wide residual network of Zagoruyko and Komodakis, such as WRN-28-10.

    The network has a 3x3 stem of 16 filters, three groups of n blocks (depth = 6n + 4) with 16k,
    32k and 64k filters, each of the last two at half the resolution, a last BN-ReLU, global average
    pooling and a dense layer. Blocks are pre-activation, BN-ReLU-conv-BN-ReLU-conv-add; if the
    shape changes, the shortcut is a projection (1x1, without BN) of the first ReLU. `CifarResNet`
    is the network of depth 6n + 2 of the SelectScale paper, such as WRN-20-4.

    A drop follows every convolution but the projections: the stem (`stem`); in a block, the BN and
    ReLU behind the first convolution (`group1_block1_1`, where the authors have their dropout); and
    the second one, before the addition (`group1_block1_2`). A network of depth d has d - 3 sites.

    Args:
        depth: Number of weight layers, 6n + 4: 10, 16, 22, 28, 34, 40, ...
        width: Factor k by which the filters of the groups are multiplied.
        {shared}

    Reference:
        Zagoruyko & Komodakis, BMVC 2016.
    """
    depth = as_integer("depth", depth, 1, blocks.LARGEST_DEPTH)
    if not exists(depth):
        raise value_error("depth", "6n + 4: 10, 16, 22, 28, 34, 40, ...", depth)
    width = as_integer("width", width, 1, blocks.LARGEST_WIDTH)
    squares = sum((filters * width) ** 2 for filters in GROUP_FILTERS)
    blocks.check_size(3 * (depth - 4) * squares, depth, width=width, depth=depth)
    input_shape, classes, data_format = blocks.check_image_arguments(
        input_shape, classes, data_format
    )
    drops = DropSites(drop)

    inputs = keras.Input(input_shape, name="images")
    x = blocks.conv(inputs, STEM_FILTERS, "stem", data_format=data_format)
    x = drops(x, "stem", 0, STEM_FILTERS)
    for group, filters in enumerate(GROUP_FILTERS, start=1):
        for number in range(1, (depth - 4) // 6 + 1):
            x = _block(
                x,
                filters * width,
                f"group{group}_block{number}",
                group=group,
                strides=2 if group > 1 and number == 1 else 1,
                drops=drops,
                data_format=data_format,
            )
    x = blocks.bn_relu(x, "last", data_format=data_format)
    outputs = blocks.classifier(x, classes, data_format=data_format)
    return deep_model(inputs, outputs, name=name or f"wrn_{depth}_{width}", depth=depth)


def _block(
    x: Any,
    filters: int,
    name: str,
    *,
    group: int,
    strides: int,
    drops: DropSites,
    data_format: str,
) -> Any:
    shortcut = x
    x = blocks.bn_relu(x, f"{name}_1", data_format=data_format)
    if strides > 1 or x.shape[blocks.channel_axis(data_format)] != filters:
        shortcut = blocks.conv(
            x,
            filters,
            f"{name}_shortcut",
            kernel_size=1,
            strides=strides,
            data_format=data_format,
        )
    x = blocks.conv(x, filters, f"{name}_1", strides=strides, data_format=data_format)
    x = blocks.bn_relu(x, f"{name}_2", data_format=data_format)
    x = drops(x, f"{name}_1", group, filters)
    x = blocks.conv(x, filters, f"{name}_2", data_format=data_format)
    x = drops(x, f"{name}_2", group, filters)
    return layers.Add(name=f"{name}_add")([x, shortcut])
