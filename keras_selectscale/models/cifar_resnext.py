"""The aggregated residual networks for small images."""

from collections.abc import Sequence

import keras

from keras_selectscale.models import arguments, blocks
from keras_selectscale.models.drop_sites import Drop, DropSites

STEM_FILTERS = 64
GROUP_FILTERS = (256, 512, 1024)


def CifarResNeXt(  # noqa: N802 - named as the builders of keras.applications are
    depth: int = 29,
    cardinality: int = 8,
    base_width: int = 64,
    *,
    drop: Drop = None,
    input_shape: Sequence[int | None] = (32, 32, 3),
    classes: int = 10,
    data_format: str | None = None,
    name: str | None = None,
) -> keras.Model:
    """Returns a ResNeXt for CIFAR; as it stands ResNeXt-29 (8x64d), of 34.4 million parameters.

    A 3x3 stem of 64 filters, then three groups of n bottleneck blocks, depth = 9n + 2, that give
    256, 512 and 1024 filters, the last two groups at half the resolution each; in each block a 3x3
    convolution in `cardinality` groups, of `cardinality * base_width` filters at first and twice as
    many in each further group of blocks. Shortcuts are the identity, or a projection (1x1
    convolution and BN) where the shape changes; global average pooling and a dense layer.

    The drops stand before and after each grouped convolution: behind the ReLU of the 1x1
    convolution before it, and behind its own. The sites are `group1_block1_1`, `group1_block1_2`
    and so on, 18 at depth 29.

    Args:
        depth: Number of weight layers, 9n + 2: 11, 20, 29, 38, …
        cardinality: Number of groups of each 3x3 convolution, C of CxWd.
        base_width: Filters of each of them in the first group of blocks, W of CxWd.
        drop: A drop layer as a template, copied to every site with a seed of its own; a callable
            from the `DropSite` (name, group, channels) to a layer or `None`; or `None`.
        input_shape: Shape of an image, (height, width, channels) or by `data_format`.
        classes: Number of classes.
        data_format: `"channels_last"` or `"channels_first"`; `None` takes
            `keras.config.image_data_format()`.
        name: Name of the model; by default `resnext_29_8x64d` and so on.

    Returns:
        A functional `keras.Model` from images to logits of shape (batch, classes).

    Raises:
        TypeError: Where an argument is of the wrong type.
        ValueError: Where one is out of its range, such as a depth that is not 9n + 2.

    Reference:
        Xie et al., CVPR 2017, Section 5.3; the sites: Section 3.1 of Chen et al., IJCAI 2020.
    """
    depth = arguments.as_positive_integer("depth", depth)
    if depth < 11 or (depth - 2) % 9:
        raise ValueError(
            f"Argument `depth` must be 9n + 2: 11, 20, 29, 38, … Received: depth={depth}"
        )
    cardinality = arguments.as_positive_integer("cardinality", cardinality)
    base_width = arguments.as_positive_integer("base_width", base_width)
    classes = arguments.as_positive_integer("classes", classes)
    data_format = arguments.as_data_format(data_format)
    input_shape = arguments.as_input_shape(input_shape, blocks.channel_axis(data_format))
    drops = DropSites(drop)

    inputs = keras.Input(input_shape, name="images")
    x = blocks.conv_bn_relu(inputs, STEM_FILTERS, "stem", data_format=data_format)
    for group, filters in enumerate(GROUP_FILTERS, start=1):
        x = blocks.bottlenecks(
            x,
            (depth - 2) // 9,
            group=group,
            width=cardinality * base_width * 2 ** (group - 1),
            filters=filters,
            cardinality=cardinality,
            drops=drops,
            drop_behind=("1", "2"),
            data_format=data_format,
        )
    outputs = blocks.classifier(x, classes, data_format=data_format)
    return keras.Model(inputs, outputs, name=name or f"resnext_{depth}_{cardinality}x{base_width}d")
