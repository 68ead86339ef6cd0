"""ResNet-50, the network of the paper's ImageNet table."""

from collections.abc import Sequence

import keras
from keras import layers

from keras_selectscale.models import arguments, blocks
from keras_selectscale.models.drop_groups import by_group
from keras_selectscale.models.drop_sites import Drop, DropSites

# (blocks, filters of the first two convolutions of a block, filters that it gives) by group.
GROUPS = ((3, 64, 256), (4, 128, 512), (6, 256, 1024), (3, 512, 2048))
STEM_FILTERS = 64
# Section 3.5: the drop rate of group 3 is half that of group 4.
PAPER_FACTORS = {3: 0.5, 4: 1.0}


def ResNet50(  # noqa: N802 - named as the builders of keras.applications are
    *,
    drop: Drop = None,
    input_shape: Sequence[int | None] = (224, 224, 3),
    classes: int = 1000,
    stem: str = "imagenet",
    data_format: str | None = None,
    name: str | None = None,
) -> keras.Model:
    """Returns ResNet-50 as published results have it, of 25.6 million parameters.

    A 7x7 stem of 64 filters and stride 2, a max pooling, then groups of 3, 4, 6 and 3 bottleneck
    blocks that give 256, 512, 1024 and 2048 filters; the stride stands in the 3x3 convolution, no
    convolution has a bias, and shortcuts are projections where the shape changes. In
    `keras.applications.ResNet50` the convolutions have biases and the stride stands in the first
    1x1.

    There is a site behind every BN, and behind its ReLU where one follows directly: `stem`, in
    each block `group3_block1_1`, `group3_block1_2` and `group3_block1_3`, and in the first block of
    a group that of the projection, `group3_block1_shortcut`; the last two stand before the
    addition. That makes 53. A callable is offered all of them. A template is put where the paper
    has its drops: behind every BN in the bottleneck blocks of groups 3 and 4, 29 sites, with half
    its drop rate in group 3. In other words, `drop=template` is
    `drop=models.by_group(template, {3: 0.5, 4: 1.0})`.

    Args:
        drop: A drop layer as a template, copied to the paper's sites with a seed of its own; a
            callable from the `DropSite` (name, group, channels) to a layer or `None`, such as
            `models.by_group` gives; or `None`.
        input_shape: Shape of an image, (height, width, channels) or by `data_format`.
        classes: Number of classes.
        stem: `"imagenet"`, or `"cifar"` for small images: a 3x3 convolution of stride 1 and no
            pooling, so that the groups work at 32, 16, 8 and 4 positions of 32 in place of 8, 4, 2
            and 1.
        data_format: `"channels_last"` or `"channels_first"`; `None` takes
            `keras.config.image_data_format()`.
        name: Name of the model, by default `resnet50`.

    Returns:
        A functional `keras.Model` from images to logits of shape (batch, classes).

    Raises:
        TypeError: Where an argument is of the wrong type.
        ValueError: Where one is out of its range.

    Reference:
        He et al., CVPR 2016, Section 4.1; the sites: Sections 3.1 and 3.5 of Chen et al., IJCAI
        2020.
    """
    if stem not in ("imagenet", "cifar"):
        raise ValueError(f'Argument `stem` must be "imagenet" or "cifar". Received: stem={stem!r}')
    classes = arguments.as_positive_integer("classes", classes)
    data_format = arguments.as_data_format(data_format)
    input_shape = arguments.as_input_shape(input_shape, blocks.channel_axis(data_format))
    if isinstance(drop, keras.layers.Layer):
        drop = by_group(drop, PAPER_FACTORS)
    drops = DropSites(drop)

    inputs = keras.Input(input_shape, name="images")
    x = blocks.conv_bn_relu(
        inputs,
        STEM_FILTERS,
        "stem",
        kernel_size=7 if stem == "imagenet" else 3,
        strides=2 if stem == "imagenet" else 1,
        data_format=data_format,
    )
    x = drops(x, "stem", 0, STEM_FILTERS)
    if stem == "imagenet":
        # Zeros are no maximum behind a ReLU: this is a pooling of the positions that there are.
        x = blocks.symmetric_padding(x, 3, "stem_pool", data_format=data_format)
        x = layers.MaxPooling2D(3, strides=2, data_format=data_format, name="stem_pool")(x)
    for group, (count, width, filters) in enumerate(GROUPS, start=1):
        x = blocks.bottlenecks(
            x,
            count,
            group=group,
            width=width,
            filters=filters,
            drops=drops,
            drop_behind=("1", "2", "3", "shortcut"),
            data_format=data_format,
        )
    outputs = blocks.classifier(x, classes, data_format=data_format)
    return keras.Model(inputs, outputs, name=name or "resnet50")
