"""The registry of networks, and `build`, which returns a network by name."""

import inspect
import re
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import keras

from keras_selectscale.checks import ArgumentError, ArgumentValueError, shown, value_error

T = TypeVar("T", bound=Callable[..., keras.Model])

# Stands for `SHARED` in the docstring of a builder.
MARK = "{shared}"
# The part that the docstrings of all builders share, below their own arguments.
SHARED = """\
        drop: A drop layer as a template, which is copied to every site with its own seed; a
            callable that takes the `DropSite` (name, group, channels) and returns a layer or
            `None`; or `None` for no drops.
        input_shape: Shape of an image, (height, width, channels), or (channels, height, width) for
            `data_format="channels_first"`. Height and width may be `None`.
        classes: Number of classes.
        data_format: `"channels_last"` or `"channels_first"`; `None` means
            `keras.config.image_data_format()`.
        name: Name of the model; `None` derives it from the arguments, such as `resnet_20`.

    Returns:
        A functional `keras.Model` from images to logits of shape (batch, classes).

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If an argument is out of range."""


class NetworkFamily(NamedTuple):
    """Networks that share a pattern of names.

    Attributes:
        form: Form of the names, such as `"wrn-D-K"`.
        pattern: Regular expression that matches a name; its groups are the builder's first
            arguments.
        builder: Function that returns the model.
        description: One line.
        exists: Function of the numbers in a name that returns whether the network exists, if
            another family has the same pattern.
    """

    form: str
    pattern: str
    builder: Callable[..., keras.Model]
    description: str
    exists: Callable[..., bool] | None = None


FAMILIES: list[NetworkFamily] = []


def network_family(
    form: str, pattern: str, description: str, exists: Callable[..., bool] | None = None
) -> Callable[[T], T]:
    r"""Registers a builder under a pattern of names. The arguments are those of `NetworkFamily`.

    Example:

    ```python
    @network_family("vgg-D", r"vgg-(\d+)", "network without shortcuts, depth D (vgg-16)")
    def VGG(depth, *, drop=None, ...): ...
    ```
    """

    def register(builder: T) -> T:
        builder.__doc__ = (builder.__doc__ or "").replace(f"        {MARK}", SHARED)
        FAMILIES.append(NetworkFamily(form, pattern, builder, description, exists))
        return builder

    return register


def build(name: str, **kwargs: Any) -> keras.Model:
    """Returns the network called `name`.

    Args:
        name: `"resnet-20"`, `"resnet-110"`, `"wrn-20-4"`, `"wrn-28-10"`, `"resnext-29-8x64d"`,
            `"vgg-16"` and so on, with any valid depth and width; `"resnet-50"` is `ResNet50`, the
            bottleneck network. `"wrn-D-K"` is `CifarResNet` if D is 6n + 2, as in the SelectScale
            paper, and `WideResNet` if D is 6n + 4.
        **kwargs: Further arguments of the builder: `drop`, `input_shape`, `classes`,
            `data_format`. The defaults are those of the builder: images of 32x32 and ten classes,
            or 224x224 and 1,000 classes for `"resnet-50"`.

    Raises:
        ValueError: If the name is unknown, or its depth or width is invalid.
    """
    family, numbers = find_family("network", name)
    try:
        return family.builder(*numbers, **kwargs)
    except ArgumentError as error:
        if error.argument in kwargs or not isinstance(error, ValueError):
            raise
        # A number in the name.
        message = f"Argument `network` must be a network that can be built. {error}"
        raise ArgumentValueError.about("network", f"{message} (network={shown(name)})") from None


def check_takes(network: str, argument: str, value: Any) -> None:
    """Checks that the builder of a network has an argument.

    Raises:
        ValueError: If it has not, or no network has this name.
    """
    family, _ = find_family("network", network)
    if argument in inspect.signature(family.builder).parameters:
        return
    takers = [f.form for f in FAMILIES if argument in inspect.signature(f.builder).parameters]
    raise ArgumentValueError.about(
        argument,
        f"Argument `{argument}` goes with the networks {takers}. "
        f"Received: {argument}={shown(value)} with network={network!r}",
    )


def find_family(argument: str, name: str) -> tuple[NetworkFamily, list[int]]:
    """Returns the family of a network's name and the numbers in the name.

    Args:
        argument: Name of the argument, for the error message.
        name: Name of the network.

    Raises:
        ValueError: If no family matches it.
    """
    alike = []
    for family in FAMILIES:
        match = re.fullmatch(family.pattern, name, re.ASCII) if isinstance(name, str) else None
        if match and all(len(number) < 10 for number in match.groups()):
            numbers = [int(number) for number in match.groups()]
            if family.exists is None or family.exists(*numbers):
                return family, numbers
            alike.append(family)
    if alike:
        expected = " or ".join(f"a {family.description}" for family in alike)
        raise value_error(argument, f"a network that exists: {expected}", name)
    forms = " or ".join(dict.fromkeys(family.form for family in FAMILIES))
    raise value_error(argument, f"of the form {forms}, such as 'resnet-20' or 'wrn-20-4'", name)
