"""What a dataset is called."""

import re
import types
from collections.abc import Mapping
from typing import NamedTuple

DATASETS: Mapping[str, str] = types.MappingProxyType(
    {
        "digits": "1,797 grey images of 8x8, 10 classes; in scikit-learn, no download",
        "cifar10": "60,000 colour images of 32x32, 10 classes; prepared by TensorFlow Datasets",
        "cifar100": "60,000 colour images of 32x32, 100 classes; prepared by TensorFlow Datasets",
        "imagenet2012": "1.3 million colour images brought to 224x224, 1,000 classes; prepared "
        "by TensorFlow Datasets, read from the disk while training",
        "tfds:NAME": "any image classification dataset that TensorFlow Datasets prepared; also "
        "tfds:NAME/CONFIG and tfds:NAME:1.0.0",
        "folder:PATH": "a folder of images, PATH/train/CLASS/FILE and PATH/test/CLASS/FILE",
    }
)

BUILDER = r"[A-Za-z_]\w*(/[\w+-][\w.+-]*)?(:\d+\.\d+\.\d+)?"


class DatasetName(NamedTuple):
    """A name taken apart: `kind` is `"digits"`, `"tfds"` or `"folder"`, `place` what is there."""

    kind: str
    place: str


def parse_name(name: str) -> DatasetName:
    """Takes the name of a dataset apart, without a look at the disk.

    Raises:
        TypeError: Where `name` is no string.
        ValueError: Where it is none of the forms in `DATASETS`.
    """
    if not isinstance(name, str):
        raise TypeError(
            "Argument `dataset` must be a string. "
            f"Received: dataset={name!r} (of type {type(name).__name__})"
        )
    kind, colon, place = name.partition(":")
    if name == "digits":
        return DatasetName("digits", "")
    if name in DATASETS and not colon:
        return DatasetName("tfds", name)
    if kind == "tfds" and re.fullmatch(BUILDER, place, re.ASCII):
        return DatasetName("tfds", place)
    if kind == "folder" and place.strip() and "\0" not in place:
        return DatasetName("folder", place)
    raise ValueError(
        f"Argument `dataset` must be one of {', '.join(DATASETS)}. Received: dataset={name!r}"
    )


def check_name(name: str) -> None:
    """Raises where `name` is none that `load` could know, without reading anything.

    Raises:
        TypeError: Where `name` is no string.
        ValueError: Where it is none of the forms in `DATASETS`, naming `dataset`.
    """
    parse_name(name)
