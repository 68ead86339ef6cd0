"""Residual networks for small images, thin and wide."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from keras_selectscale.argument_names import named_arguments
from keras_selectscale.checks import as_choice, as_integer, value_error
from keras_selectscale.models import blocks
from keras_selectscale.models.deep_graph import deep_model
from keras_selectscale.models.drop_sites import Drop, DropSites
from keras_selectscale.models.names import network_family

GROUP_FILTERS = (16, 32, 64)
# Where the drop of a block's second convolution may stand.
LAST_DROPS = ("before_addition", "after_addition")


def exists(depth: int, width: int = 1) -> bool:
    """Returns whether a network of this depth exists."""
    return depth >= 8 and (depth - 2) % 6 == 0


@network_family(
    "wrn-D-K",
    r"wrn-(\d+)-(\d+)",
    "post-activation residual network with K times the filters of ResNet in each layer, depth "
    "D = 6n + 2 (wrn-20-4, wrn-20-8)",
    exists,
)
@network_family(
    "resnet-D",
    r"resnet-(?!50$)(\d+)",
    "residual network for small images, depth D = 6n + 2 (resnet-20, resnet-110; not 50)",
)
@named_arguments
def CifarResNet(  # noqa: N802 - named as the builders of keras.applications are
    depth: int,
    width: int = 1,
    *,
    drop: Drop = None,
    input_shape: Sequence[int | None] = (32, 32, 3),
    classes: int = 10,
    data_format: str | None = None,
    name: str | None = None,
    last_drop: str = "before_addition",
) -> keras.Model:
    """Returns a ResNet or wide ResNet (WRN) for CIFAR.

    The network has a 3x3 stem of 16 filters, three groups of n blocks (depth = 6n + 2) with 16, 32
    and 64 filters, each of the last two at half the resolution, global average pooling and a dense
    layer. Blocks are post-activation, conv-BN-ReLU-conv-BN-add-ReLU, with shortcuts without
    parameters (option A). WRN-20-k is ResNet-20 with every width multiplied by k, the stem
    included.

    A drop follows every convolution: after the ReLU of the stem and of a block's first convolution,
    and after the BN of a block's second convolution, on the residual branch before the addition. A
    network of depth d has d - 1 sites: `stem`, then `group1_block1_1`, `group1_block1_2` and so on.
    The drop layer of a site is called `<site>_drop`. The paper does not say where the drop of a
    block's second convolution stands; `last_drop` offers both readings.

    Args:
        depth: Number of weight layers, 6n + 2: 8, 14, 20, 32, 44, 56, 110, ...
        width: Factor by which every number of filters is multiplied, k in WRN-20-k.
        last_drop: Where the drop of a block's second convolution stands: `"before_addition"`, on
            the residual branch behind the BN, or `"after_addition"`, behind the ReLU that follows
            the addition, where it acts on the shortcut too.
        {shared}

    Reference:
        He et al., CVPR 2016, Section 4.2; Zagoruyko & Komodakis, BMVC 2016; the sites: Section 3.1
        of Chen et al., IJCAI 2020.
    """
    depth = as_integer("depth", depth, 1, blocks.LARGEST_DEPTH)
    if not exists(depth):
        raise value_error("depth", "6n + 2: 8, 14, 20, 26, 32, ...", depth)
    width = as_integer("width", width, 1, blocks.LARGEST_WIDTH)
    as_choice("last_drop", last_drop, LAST_DROPS)
    squares = sum((filters * width) ** 2 for filters in GROUP_FILTERS)
    blocks.check_size(3 * (depth - 2) * squares, depth, width=width, depth=depth)
    input_shape, classes, data_format = blocks.check_image_arguments(
        input_shape, classes, data_format
    )
    if name is None:
        name = f"resnet_{depth}" if width == 1 else f"wrn_{depth}_{width}"
    drops = DropSites(drop)

    inputs = keras.Input(input_shape, name="images")
    filters = GROUP_FILTERS[0] * width
    x = blocks.conv_bn_relu(inputs, filters, "stem", data_format=data_format)
    x = drops(x, "stem", 0, filters)
    for group, group_filters in enumerate(GROUP_FILTERS, start=1):
        for number in range(1, (depth - 2) // 6 + 1):
            x = _block(
                x,
                group_filters * width,
                f"group{group}_block{number}",
                group=group,
                strides=2 if group > 1 and number == 1 else 1,
                drops=drops,
                last_drop=last_drop,
                data_format=data_format,
            )
    outputs = blocks.classifier(x, classes, data_format=data_format)
    return deep_model(inputs, outputs, name=name, depth=depth)


def _block(
    x: Any,
    filters: int,
    name: str,
    *,
    group: int,
    strides: int,
    drops: DropSites,
    last_drop: str,
    data_format: str,
) -> Any:
    shortcut = blocks.shortcut_without_parameters(
        x, filters, name, strides=strides, data_format=data_format
    )
    x = blocks.conv_bn_relu(x, filters, f"{name}_1", strides=strides, data_format=data_format)
    x = drops(x, f"{name}_1", group, filters)
    x = blocks.conv_bn(x, filters, f"{name}_2", data_format=data_format)
    if last_drop == "before_addition":
        x = drops(x, f"{name}_2", group, filters)
    x = layers.Add(name=f"{name}_add")([x, shortcut])
    x = layers.ReLU(name=f"{name}_relu")(x)
    return drops(x, f"{name}_2", group, filters) if last_drop == "after_addition" else x
