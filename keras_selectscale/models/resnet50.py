"""ResNet-50, the network of the paper's ImageNet table."""

from collections.abc import Sequence

import keras
from keras import layers

from keras_selectscale.argument_names import named_arguments
from keras_selectscale.checks import as_choice
from keras_selectscale.models import blocks
from keras_selectscale.models.drop_sites import Drop, DropSites, by_group
from keras_selectscale.models.names import network_family

# (blocks, filters of the first two convolutions of a block, its output filters) by group.
GROUPS = ((3, 64, 256), (4, 128, 512), (6, 256, 1024), (3, 512, 2048))
STEM_FILTERS = 64
# Section 3.5: the drop rate of group 3 is half that of group 4.
PAPER_FACTORS = {3: 0.5, 4: 1.0}


@network_family(
    "resnet-50",
    r"resnet-50",
    "bottleneck residual network for ImageNet (CifarResNet(50) is the one for small images)",
)
@named_arguments
def ResNet50(  # noqa: N802 - named as the builders of keras.applications are
    *,
    drop: Drop = None,
    input_shape: Sequence[int | None] = (224, 224, 3),
    classes: int = 1000,
    stem: str = "imagenet",
    data_format: str | None = None,
    name: str | None = None,
) -> keras.Model:
    """Returns the ResNet-50 of published results, with 25.6 million parameters.

    The network has a 7x7 stem of 64 filters and stride 2, max pooling, and groups of 3, 4, 6 and 3
    bottleneck blocks with 256, 512, 1024 and 2048 output filters. The stride is in the 3x3
    convolution, no convolution has a bias, and shortcuts are projections if the shape changes. In
    `keras.applications.ResNet50`, the convolutions have biases and the stride is in the first 1x1
    convolution.

    A site follows every BN, or its ReLU if one follows directly: `stem`; in each block
    `group3_block1_1`, `group3_block1_2` and `group3_block1_3`; and in the first block of a group
    that of the projection, `group3_block1_shortcut`. The last two are before the addition. A
    callable is called with all 53 sites. A template is inserted at the sites of the paper: after
    every BN in the bottleneck blocks of groups 3 and 4 (29 sites), with half its drop rate in group
    3. In other words, `drop=template` means `drop=models.by_group(template, {3: 0.5, 4: 1.0})`.

    Args:
        stem: `"imagenet"`, or `"cifar"` for small images: a 3x3 convolution of stride 1 and no
            pooling, so that the groups see 32, 16, 8 and 4 positions of a 32x32 image instead of 8,
            4, 2 and 1.
        {shared}

    Reference:
        He et al., CVPR 2016, Section 4.1; the sites: Sections 3.1 and 3.5 of Chen et al., IJCAI
        2020.
    """
    as_choice("stem", stem, ("imagenet", "cifar"))
    input_shape, classes, data_format = blocks.check_image_arguments(
        input_shape, classes, data_format
    )
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
        # After a ReLU, zeros do not change a maximum.
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
