"""Networks without shortcuts, in the style of VGG."""

from collections.abc import Sequence

import keras
from keras import layers

from keras_selectscale.models import arguments, blocks
from keras_selectscale.models.drop_sites import Drop, DropSites

GROUP_FILTERS = (64, 128, 256, 512, 512)
# Convolutions by group.
DEPTHS = {
    11: (1, 1, 2, 2, 2),
    13: (2, 2, 2, 2, 2),
    16: (2, 2, 3, 3, 3),
    19: (2, 2, 4, 4, 4),
}


def VGG(
    depth: int = 16,
    *,
    drop: Drop = None,
    input_shape: Sequence[int | None] = (32, 32, 3),
    classes: int = 10,
    data_format: str | None = None,
    name: str | None = None,
) -> keras.Model:
    """Returns a VGG with batch normalisation: the non-residual network of this package.

    Five groups of 3x3-BN-ReLU at 64, 128, 256, 512 and 512 filters, a 2x2 max pooling behind each;
    then, as is usual for small images, global average pooling and one dense layer in place of
    VGG's three (VGG-16 so has 14.7 million parameters for ten classes, not 138 million). Any size
    of image is taken, 32x32 and 224x224 alike.

    A drop follows every convolution, behind its ReLU. The sites are `group1_1`, `group1_2` and so
    on: as many as convolutions, depth - 3.

    Args:
        depth: 11, 13, 16 or 19, which counts VGG's three dense layers.
        drop: A drop layer as a template, copied to every site with a seed of its own; a callable
            from the `DropSite` (name, group, channels) to a layer or `None`; or `None`.
        input_shape: Shape of an image, (height, width, channels) or by `data_format`.
        classes: Number of classes.
        data_format: `"channels_last"` or `"channels_first"`; `None` takes
            `keras.config.image_data_format()`.
        name: Name of the model; by default `vgg_16` and so on.

    Returns:
        A functional `keras.Model` from images to logits of shape (batch, classes).

    Raises:
        TypeError: Where an argument is of the wrong type.
        ValueError: Where one is out of its range, such as a depth that VGG does not have.

    Reference:
        Simonyan & Zisserman, ICLR 2015, Table 1, configurations A, B, D and E. Chen et al., IJCAI
        2020, name non-residual networks in Section 1 and have none in their tables.
    """
    depth = arguments.as_positive_integer("depth", depth)
    if depth not in DEPTHS:
        raise ValueError(f"Argument `depth` must be 11, 13, 16 or 19. Received: depth={depth}")
    classes = arguments.as_positive_integer("classes", classes)
    data_format = arguments.as_data_format(data_format)
    input_shape = arguments.as_input_shape(input_shape, blocks.channel_axis(data_format))
    drops = DropSites(drop)

    inputs = x = keras.Input(input_shape, name="images")
    for group, (count, filters) in enumerate(
        zip(DEPTHS[depth], GROUP_FILTERS, strict=True), start=1
    ):
        for number in range(1, count + 1):
            site = f"group{group}_{number}"
            x = blocks.conv_bn_relu(x, filters, site, data_format=data_format)
            x = drops(x, site, group, filters)
        # "same", for images whose sides are no multiple of 32.
        x = layers.MaxPooling2D(
            2, padding="same", data_format=data_format, name=f"group{group}_pool"
        )(x)
    outputs = blocks.classifier(x, classes, data_format=data_format)
    return keras.Model(inputs, outputs, name=name or f"vgg_{depth}")
