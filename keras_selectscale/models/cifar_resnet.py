"""The residual networks for small images, thin and wide."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from keras_selectscale.models import arguments, blocks
from keras_selectscale.models.drop_sites import Drop, DropSites

GROUP_FILTERS = (16, 32, 64)


def CifarResNet(  # noqa: N802 - named as the builders of keras.applications are
    depth: int,
    width: int = 1,
    *,
    drop: Drop = None,
    input_shape: Sequence[int | None] = (32, 32, 3),
    classes: int = 10,
    data_format: str | None = None,
    name: str | None = None,
) -> keras.Model:
    """Returns a ResNet or wide ResNet (WRN) for CIFAR.

    A 3x3 stem of 16 filters, then three groups of n blocks, depth = 6n + 2, at 16, 32 and 64
    filters, the last two at half the resolution each; post-activation blocks
    conv-BN-ReLU-conv-BN-add-ReLU, shortcuts without parameters (option A), global average pooling
    and a dense layer. WRN-20-k is ResNet-20 with every width times k, the stem included.

    The drops follow every convolution: the stem and the first one of a block behind their ReLU,
    the second one of a block behind its BN, on the residual branch before the addition. A network
    of depth d has d - 1 of these sites: `stem`, then `group1_block1_1`, `group1_block1_2` and so
    on; the drop layer of a site is called `<site>_drop`.

    Args:
        depth: Number of weight layers, 6n + 2: 8, 14, 20, 32, 44, 56, 110, …
        width: Factor of every number of filters, k of WRN-20-k.
        drop: A drop layer as a template, copied to every site with a seed of its own; a callable
            from the `DropSite` (name, group, channels) to a layer or `None`; or `None`.
        input_shape: Shape of an image, (height, width, channels) or by `data_format`.
        classes: Number of classes.
        data_format: `"channels_last"` or `"channels_first"`; `None` takes
            `keras.config.image_data_format()`.
        name: Name of the model; by default `resnet_20`, `wrn_20_4` and so on.

    Returns:
        A functional `keras.Model` from images to logits of shape (batch, classes).

    Raises:
        TypeError: Where an argument is of the wrong type.
        ValueError: Where one is out of its range, such as a depth that is not 6n + 2.

    Reference:
        He et al., CVPR 2016, Section 4.2; Zagoruyko & Komodakis, BMVC 2016; the sites: Section 3.1
        of Chen et al., IJCAI 2020.
    """
    depth = arguments.as_positive_integer("depth", depth)
    if depth < 8 or (depth - 2) % 6:
        raise ValueError(
            f"Argument `depth` must be 6n + 2: 8, 14, 20, 26, 32, … Received: depth={depth}"
        )
    width = arguments.as_positive_integer("width", width)
    classes = arguments.as_positive_integer("classes", classes)
    data_format = arguments.as_data_format(data_format)
    input_shape = arguments.as_input_shape(input_shape, blocks.channel_axis(data_format))
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
                data_format=data_format,
            )
    outputs = blocks.classifier(x, classes, data_format=data_format)
    return keras.Model(inputs, outputs, name=name)


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
    shortcut = blocks.shortcut_without_parameters(
        x, filters, name, strides=strides, data_format=data_format
    )
    x = blocks.conv_bn_relu(x, filters, f"{name}_1", strides=strides, data_format=data_format)
    x = drops(x, f"{name}_1", group, filters)
    x = blocks.conv_bn(x, filters, f"{name}_2", data_format=data_format)
    x = drops(x, f"{name}_2", group, filters)
    x = layers.Add(name=f"{name}_add")([x, shortcut])
    return layers.ReLU(name=f"{name}_relu")(x)
