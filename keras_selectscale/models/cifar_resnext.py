"""Aggregated residual networks (ResNeXt) for small images."""

from collections.abc import Sequence

import keras

from keras_selectscale.argument_names import named_arguments
from keras_selectscale.checks import as_integer, value_error
from keras_selectscale.models import blocks
from keras_selectscale.models.deep_graph import deep_model
from keras_selectscale.models.drop_sites import Drop, DropSites
from keras_selectscale.models.names import network_family

STEM_FILTERS = 64
GROUP_FILTERS = (256, 512, 1024)


@network_family(
    "resnext-D-CxWd",
    r"resnext-(\d+)-(\d+)x(\d+)d",
    "bottlenecks of C grouped convolutions for small images, D = 9n + 2 (resnext-29-8x64d)",
)
@named_arguments
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
    """Returns a ResNeXt for CIFAR, by default ResNeXt-29 (8x64d) with 34.4 million parameters.

    The network has a 3x3 stem of 64 filters, three groups of n bottleneck blocks (depth = 9n + 2)
    with 256, 512 and 1024 output filters, each of the last two groups at half the resolution,
    global average pooling and a dense layer. The 3x3 convolution of a block has `cardinality`
    groups and `cardinality * base_width` filters, which double with each group of blocks. Shortcuts
    are the identity, or a projection (1x1 convolution and BN) if the shape changes.

    There is a drop before and after each grouped convolution: after the ReLU of the preceding 1x1
    convolution, and after its own ReLU. The sites are `group1_block1_1`, `group1_block1_2` and so
    on, 18 at depth 29.

    Args:
        depth: Number of weight layers, 9n + 2: 11, 20, 29, 38, ...
        cardinality: Number of groups of each 3x3 convolution, C in CxWd.
        base_width: Filters of each of these groups in the first group of blocks, W in CxWd.
        {shared}

    Reference:
        Xie et al., CVPR 2017, Section 5.3; the sites: Section 3.1 of Chen et al., IJCAI 2020.
    """
    depth = as_integer("depth", depth, 1, blocks.LARGEST_DEPTH)
    if depth < 11 or (depth - 2) % 9:
        raise value_error("depth", "9n + 2: 11, 20, 29, 38, ...", depth)
    cardinality = as_integer("cardinality", cardinality, 1, blocks.LARGEST_WIDTH)
    base_width = as_integer("base_width", base_width, 1, blocks.LARGEST_WIDTH)
    count = (depth - 2) // 9
    weights = 0
    for group, filters in enumerate(GROUP_FILTERS):
        width = cardinality * base_width * 2**group
        weights += count * width * (2 * filters + 9 * base_width * 2**group)
    blocks.check_size(
        weights,
        3 * count * (cardinality + 2),
        cardinality=cardinality,
        base_width=base_width,
        depth=depth,
    )
    input_shape, classes, data_format = blocks.check_image_arguments(
        input_shape, classes, data_format
    )
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
    name = name or f"resnext_{depth}_{cardinality}x{base_width}d"
    return deep_model(inputs, outputs, name=name, depth=depth)
