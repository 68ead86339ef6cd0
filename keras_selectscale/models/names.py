"""Networks by the names that the paper uses."""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

import keras

from keras_selectscale.models.cifar_resnet import CifarResNet


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
        r"resnet-(\d+)",
        CifarResNet,
        "residual network for small images, depth D = 6n + 2 (resnet-20, resnet-110)",
    ),
    NetworkFamily(
        "wrn-D-K",
        r"wrn-(\d+)-(\d+)",
        CifarResNet,
        "the same with K times the filters in each layer (wrn-20-4, wrn-20-8)",
    ),
)


def build(name: str, **kwargs: Any) -> keras.Model:
    """Returns the network called `name`.

    Args:
        name: `"resnet-20"`, `"resnet-110"`, `"wrn-20-4"` and so on: any valid depth and width.
        **kwargs: Further arguments of the builder: `drop`, `input_shape`, `classes`,
            `data_format`.

    Raises:
        ValueError: Where the name is unknown, or its depth or width invalid.
    """
    for family in FAMILIES:
        match = re.fullmatch(family.pattern, name) if isinstance(name, str) else None
        if match:
            return family.builder(*(int(number) for number in match.groups()), **kwargs)
    raise ValueError(
        f"Argument `network` must be of the form {' or '.join(f.form for f in FAMILIES)}, such as "
        f"'resnet-20' or 'wrn-20-4'. Received: network={name!r}"
    )
