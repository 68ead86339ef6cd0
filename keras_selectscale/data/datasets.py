"""Datasets by name: the registered sources, `check_name` and `load`."""

import contextlib
import dataclasses
import os
import re
import types
from collections.abc import Mapping
from typing import Any

from keras_selectscale.argument_names import named_arguments
from keras_selectscale.checks import as_integer, type_error, value_error
from keras_selectscale.data.dataset import Dataset, Request, Source
from keras_selectscale.data.digits import DIGITS
from keras_selectscale.data.image_folder import FOLDER
from keras_selectscale.data.packed_images import PACKED, find_packed, read_packed
from keras_selectscale.data.prepared_images import CIFAR10, CIFAR100, IMAGENET, PREPARED
from keras_selectscale.data.splits import training_subset

# Fixes the images of every `subset:N:DATASET` for good.
SUBSET_SEED = 0


def _is_subset(place: str) -> bool:
    size, _, name = place.partition(":")
    if not re.fullmatch("[1-9][0-9]{0,8}", size) or name.startswith("subset:"):
        return False
    with contextlib.suppress(ValueError):
        check_name(name)
        return True
    return False


def load_subset(request: Request) -> Dataset:
    """Reads the dataset `subset:N:DATASET`: N of its training images, and all of its test images.

    The images are those of `training_subset` with seed 0, whatever the seed of a run is: all runs
    train on the same ones.

    Raises:
        ValueError: If the dataset has fewer images, or more classes.
    """
    size, _, name = request.place.partition(":")
    source, place = find_source(name)
    whole = _read(source, request._replace(name=name, place=place))
    try:
        data = training_subset(whole, train_size=int(size), seed=SUBSET_SEED)
    except ValueError as error:
        reason = f"a subset that can be drawn (N: {error})"
        raise value_error("dataset", reason, request.name) from None
    return dataclasses.replace(data, name=request.name)  # type: ignore[type-var]


SUBSET = Source(
    "subset:N:DATASET",
    "a stratified subset of N training images, the same for every seed",
    load_subset,
    accepts=_is_subset,
    changes=True,
)
# A new dataset is a file that defines its `Source`, and an entry here.
SOURCES: tuple[Source, ...] = (
    *(DIGITS, CIFAR10, CIFAR100, IMAGENET, PREPARED, FOLDER, PACKED),
    SUBSET,
)
DATASETS: Mapping[str, str] = types.MappingProxyType(
    {source.form: source.description for source in SOURCES}
)


def find_source(name: str) -> tuple[Source, str]:
    """Returns the source that reads a dataset, and the varying part of the name.

    Raises:
        TypeError: If `name` is not a string.
        ValueError: If it has none of the forms in `DATASETS`.
    """
    expected = f"one of {', '.join(DATASETS)}"
    if not isinstance(name, str):
        raise type_error("dataset", f"a string, {expected}", name)
    kind, colon, place = name.partition(":")
    for source in SOURCES:
        if name == source.form and source.place:
            return source, source.place
        varies = not source.place and source.form.partition(":")[0] == kind
        if colon and varies and source.accepts(place):
            return source, place
    raise value_error("dataset", expected, name)


def check_name(name: str) -> None:
    """Checks the form of a dataset's name, without reading anything.

    Raises:
        TypeError: If `name` is not a string.
        ValueError: If it has none of the forms in `DATASETS`.
    """
    find_source(name)


def comparison_defaults(name: str) -> dict[str, Any]:
    """Returns the network, epochs and batch size with which `compare` trains a dataset."""
    source, _ = find_source(name)
    return {"network": source.network, "epochs": source.epochs, "batch_size": source.batch_size}


@named_arguments
def load(
    name: str,
    *,
    data_dir: str | os.PathLike[str] | None = None,
    train_size: int | None = None,
    seed: int = 0,
    image_size: int | None = None,
    flip: bool | None = None,
) -> Dataset:
    """Loads a dataset, into memory if its images have one size and take at most 2 GiB.

    All other datasets are read from the disk while they are used, with ImageNet's augmentation:
    `imagenet2012`, and those with images of varying size.

    Args:
        name: A name of one of the forms in `DATASETS`.
        data_dir: Folder of the prepared TensorFlow Datasets, and of datasets written by `pack`;
            `None` stands for the environment variable `TFDS_DATA_DIR`, or else
            `~/tensorflow_datasets`.
        train_size: Number of training images to keep, a stratified subset; `None` keeps all.
        seed: Decides the subset, at least 0.
        image_size: Height and width of the images after resizing. `None` keeps the size of images
            that have one size (of streamed images, the shorter side), and means 224 otherwise.
        flip: Whether training images are mirrored. `None` keeps the dataset's default: colour
            images are mirrored, and grey ones are not, because they are mostly writing.

    Returns:
        A dataset in memory (`ImageData`), with `mean` and `std` of the whole training split even if
        `train_size` is given; or streamed images (`StreamedImages`), with those of ImageNet.

    Raises:
        FileNotFoundError: If the dataset is not prepared or the folder does not exist, in one line
            that says how to get it.
        OSError: If a file cannot be read.
        TypeError: If an argument has the wrong type.
        ValueError: If `name` is unknown, a number is out of range, or the dataset cannot be used
            for image classification.
        ModuleNotFoundError: If a package that reads the dataset is not installed.
    """
    # Everything is checked before reading, which may take long.
    source, place = find_source(name)
    seed = as_integer("seed", seed, 0)
    if train_size is not None:
        train_size = as_integer("train_size", train_size, 1)
    if image_size is not None:
        image_size = as_integer("image_size", image_size, 1)
    if flip is not None and not isinstance(flip, bool):
        raise type_error("flip", "True, False or None", flip)
    data = _read(source, Request(name, place, data_dir, image_size)).brought_to(image_size)
    if flip is not None:
        data = data.with_flip(flip)
    if train_size is None:
        return data
    return training_subset(data, train_size=train_size, seed=seed)


def _read(source: Source, request: Request) -> Dataset:
    packed = find_packed(request.name, request.data_dir)
    if packed is None:
        return source.read(request)
    if source.changes:
        with contextlib.suppress(FileNotFoundError):
            return source.read(request)
    return read_packed(packed, request.name)
