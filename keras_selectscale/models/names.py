"""Networks by the names that the paper uses."""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

import keras

from keras_selectscale.models.cifar_resnet import CifarResNet
from keras_selectscale.models.cifar_resnext import CifarResNeXt
from keras_selectscale.models.resnet50 import ResNet50
from keras_selectscale.models.vgg import VGG


class NetworkFamily(NamedTuple):
    """Networks that one pattern of names stands for.

    Attributes:
        form: The names, as one writes them.
        pattern: Regular expression over the name; its groups are the builder's first arguments.
        builder: Function that gives the model.
        description: One line.
    """

    form: str
    pattern: str
    builder: Callable[..., keras.Model]
    description: str


FAMILIES = (
    NetworkFamily(
        "resnet-D",
        r"resnet-(?!50$)(\d+)",
        CifarResNet,
        "residual network for small images, depth D = 6n + 2 (resnet-20, resnet-110; not 50)",
    ),
    NetworkFamily(
        "wrn-D-K",
        r"wrn-(\d+)-(\d+)",
        CifarResNet,
        "the same with K times the filters in each layer (wrn-20-4, wrn-20-8)",
    ),
    NetworkFamily(
        "resnext-D-CxWd",
        r"resnext-(\d+)-(\d+)x(\d+)d",
        CifarResNeXt,
        "bottlenecks of C grouped convolutions for small images, D = 9n + 2 (resnext-29-8x64d)",
    ),
    NetworkFamily(
        "resnet-50",
        r"resnet-50",
        ResNet50,
        "bottleneck residual network for ImageNet (CifarResNet(50) is the one for small images)",
    ),
    NetworkFamily(
        "vgg-D",
        r"vgg-(\d+)",
        VGG,
        "network without shortcuts, depth D = 11, 13, 16 or 19 (vgg-16)",
    ),
)


def build(name: str, **kwargs: Any) -> keras.Model:
    """Returns the network called `name`.

    Args:
        name: `"resnet-20"`, `"resnet-110"`, `"wrn-20-4"`, `"resnext-29-8x64d"`, `"vgg-16"` and so
            on: any valid depth and width; `"resnet-50"` is `ResNet50`, the bottleneck network.
        **kwargs: Further arguments of the builder: `drop`, `input_shape`, `classes`,
            `data_format`. What is left out is the builder's own default: images of 32x32 and ten
            classes, or 224x224 and 1,000 for `"resnet-50"`.

    Raises:
        ValueError: Where the name is unknown, or its depth or width invalid.
    """
    for family in FAMILIES:
        match = re.fullmatch(family.pattern, name, re.ASCII) if isinstance(name, str) else None
        if match:
            return family.builder(*(int(number) for number in match.groups()), **kwargs)
    raise ValueError(
        f"Argument `network` must be of the form {' or '.join(f.form for f in FAMILIES)}, such as "
        f"'resnet-20' or 'wrn-20-4'. Received: network={name!r}"
    )
