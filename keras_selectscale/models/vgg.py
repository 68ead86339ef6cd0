"""Networks without shortcuts, in the style of VGG."""

from collections.abc import Sequence

import keras
from keras import layers

from keras_selectscale.argument_names import named_arguments
from keras_selectscale.checks import as_integer, value_error
from keras_selectscale.models import blocks
from keras_selectscale.models.drop_sites import Drop, DropSites
from keras_selectscale.models.names import network_family

GROUP_FILTERS = (64, 128, 256, 512, 512)
# Convolutions by group.
DEPTHS = {
    11: (1, 1, 2, 2, 2),
    13: (2, 2, 2, 2, 2),
    16: (2, 2, 3, 3, 3),
    19: (2, 2, 4, 4, 4),
}


@network_family(
    "vgg-D",
    r"vgg-(\d+)",
    "network without shortcuts, depth D = 11, 13, 16 or 19 (vgg-16)",
)
@named_arguments
def VGG(
    depth: int = 16,
    *,
    drop: Drop = None,
    input_shape: Sequence[int | None] = (32, 32, 3),
    classes: int = 10,
    data_format: str | None = None,
    name: str | None = None,
) -> keras.Model:
    """Returns a VGG with batch normalization, the non-residual network of this package.

    The network has five groups of 3x3-BN-ReLU with 64, 128, 256, 512 and 512 filters, each followed
    by a 2x2 max pooling, then, as is usual for small images, global average pooling and one dense
    layer instead of VGG's three. (So VGG-16 has 14.7 million parameters for ten classes instead of
    138 million.) Images may have any size.

    A drop follows the ReLU of every convolution. The sites are `group1_1`, `group1_2` and so on,
    one per convolution, depth - 3 in all.

    Args:
        depth: 11, 13, 16 or 19, including VGG's three dense layers.
        {shared}

    Reference:
        Simonyan & Zisserman, ICLR 2015, Table 1, configurations A, B, D and E. Chen et al., IJCAI
        2020, name non-residual networks in Section 1 but have none in their tables.
    """
    depth = as_integer("depth", depth, 1)
    if depth not in DEPTHS:
        raise value_error("depth", "11, 13, 16 or 19", depth)
    input_shape, classes, data_format = blocks.check_image_arguments(
        input_shape, classes, data_format
    )
    drops = DropSites(drop)

    inputs = x = keras.Input(input_shape, name="images")
    for group, (count, filters) in enumerate(
        zip(DEPTHS[depth], GROUP_FILTERS, strict=True), start=1
    ):
        for number in range(1, count + 1):
            site = f"group{group}_{number}"
            x = blocks.conv_bn_relu(x, filters, site, data_format=data_format)
            x = drops(x, site, group, filters)
        # "same" supports images whose sides are not multiples of 32.
        x = layers.MaxPooling2D(
            2, padding="same", data_format=data_format, name=f"group{group}_pool"
        )(x)
    outputs = blocks.classifier(x, classes, data_format=data_format)
    return keras.Model(inputs, outputs, name=name or f"vgg_{depth}")
