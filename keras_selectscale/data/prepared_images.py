"""Datasets that TensorFlow Datasets prepared: their features, their splits and their images."""

import os
import pathlib
import re
import warnings
from typing import Any, NamedTuple

import numpy as np

from keras_selectscale.checks import ArgumentValueError
from keras_selectscale.data.arrays import aligned_empty, fits_in_memory
from keras_selectscale.data.dataset import Request, Source
from keras_selectscale.data.encoded_images import ImageRecords, index_records
from keras_selectscale.data.image_data import ImageData, in_memory
from keras_selectscale.data.prepared_folder import find_prepared, preparation
from keras_selectscale.data.streamed_images import DEFAULT_SIZE, StreamedImages, streamed
from keras_selectscale.environment import require
from keras_selectscale.wording import counted

# Images decoded at a time; 20 times as many are no faster.
READ_BATCH = 500
# Builders whose test split has no labels; they are evaluated on the validation split.
NO_TEST_LABELS = ("imagenet2012",)
BUILDER = r"[A-Za-z_]\w*(/[\w+-][\w.+-]*)?(:\d+\.\d+\.\d+)?"


def load_prepared(request: Request) -> ImageData | StreamedImages:
    """Reads a prepared image classification dataset, or indexes its images to stream them.

    Images whose builder gives them one size are read if they fit in memory; all others are
    streamed. Their order is that of the files. Only the prepared folder is needed, neither the code
    of the builder nor a network.

    The splits are `train` and `test`. If there is no `test`, `validation` takes its place, with a
    warning. The `test` split of ImageNet has no labels; published results are for `validation`.

    Args:
        request: The request; `request.place` is the name of the builder, `NAME`, `NAME/CONFIG` or
            either with a version, `NAME:1.0.0`.

    Raises:
        FileNotFoundError: If the dataset is not prepared, or a file or split of it is missing.
        OSError: If a file cannot be read.
        ValueError: If it is not an image classification dataset, or a label is out of range.
    """
    dataset, name, image_size = request.name, request.place, request.image_size
    folder = find_prepared(name, request.data_dir)
    bare = name.partition(":")[0]
    again = preparation(name, folder.parents[bare.count("/") + 1], folder)
    require("tensorflow", "tensorflow", f"Reading the prepared dataset {dataset}")
    for package in ("tensorflow_datasets", "importlib_resources"):
        require(package, "data", f"Reading the prepared dataset {dataset}")
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder_from_directory(folder)
    except Exception as error:  # protobuf, json and TFDS raise their own.
        problem = f"The metadata in {folder} cannot be read ({_line(error)})"
        raise OSError(f"{problem}. {again}") from error
    features = find_features(builder, dataset)
    splits = _splits(builder, dataset, folder, again)
    images = sum(builder.info.splits[split].num_examples for split in splits)
    height, width, channels = features.shape
    if height and width and channels:
        if fits_in_memory(images, (height, width, channels), image_size):
            shape = height, width, channels
            train, test = (
                _read(builder, split, features, shape, dataset, again) for split in splits
            )
            return in_memory(dataset, train, test, features.classes, features.names)
        image_size = image_size or min(height, width)
    train_records, test_records = (_index(builder, split, features, again) for split in splits)
    size = image_size or DEFAULT_SIZE
    return streamed(
        *(dataset, train_records, test_records, features.classes, size, channels or 3),
        features.names,
    )


CIFAR10 = Source(
    "cifar10",
    "60,000 colour images of 32x32, 10 classes; prepared by TensorFlow Datasets",
    load_prepared,
    place="cifar10",
)
CIFAR100 = Source(
    "cifar100",
    "60,000 colour images of 32x32, 100 classes; prepared by TensorFlow Datasets",
    load_prepared,
    place="cifar100",
)
IMAGENET = Source(
    "imagenet2012",
    "1.3 million colour images resized to 224x224, 1,000 classes; prepared by TensorFlow Datasets, "
    "read from the disk while training",
    load_prepared,
    place="imagenet2012",
)
PREPARED = Source(
    "tfds:NAME",
    "any image classification dataset that TensorFlow Datasets prepared; also tfds:NAME/CONFIG and "
    "tfds:NAME:1.0.0",
    load_prepared,
    accepts=lambda place: re.fullmatch(BUILDER, place, re.ASCII) is not None,
)


class ClassificationFeatures(NamedTuple):
    """The features used for classification, the images' shape, and the classes with their names."""

    image_key: str
    label_key: str
    shape: tuple[int | None, int | None, int | None]
    classes: int
    names: tuple[str, ...]


def find_features(builder: Any, name: str) -> ClassificationFeatures:
    """Finds the image and the class label of a builder.

    These are the builder's own input and target, or the features `image` and `label`, or else the
    only image and the only class label. The class of `cifar100` is therefore `label`, not
    `coarse_label`.

    Args:
        builder: A builder of TensorFlow Datasets.
        name: Name of the dataset, for an error message.

    Raises:
        ValueError: If it is not image classification, with its features; if the images do not have
            8 bits and 1 or 3 channels; or if there are fewer than 2 classes.
    """
    import tensorflow_datasets as tfds

    features = builder.info.features
    found = dict(features) if isinstance(features, tfds.features.FeaturesDict) else {}
    # A subclass of Image, such as a mask or a video, is something else.
    images = [key for key, each in found.items() if type(each) is tfds.features.Image]
    labels = [key for key, each in found.items() if type(each) is tfds.features.ClassLabel]
    pairs = [("image", "label")]
    if isinstance(builder.info.supervised_keys, tuple) and len(builder.info.supervised_keys) == 2:
        pairs.insert(0, builder.info.supervised_keys)
    if len(images) == len(labels) == 1:
        pairs.append((images[0], labels[0]))
    pair = next((each for each in pairs if each[0] in images and each[1] in labels), None)
    if pair is None:
        has = ", ".join(f"{key} ({type(each).__name__})" for key, each in sorted(found.items()))
        raise _refused(
            "an image classification dataset, with an image and a class label",
            name,
            f"has {has or 'no named features'}",
        )
    image, label = found[pair[0]], found[pair[1]]
    if image.np_dtype != np.uint8 or image.shape[-1] not in (1, 3, None):
        kind = np.dtype(image.np_dtype).name
        raise _refused(
            "a dataset of images of 8 bits and 1 or 3 channels",
            name,
            f"has images of shape {image.shape} and dtype {kind}",
        )
    if (label.num_classes or 0) < 2:
        count = label.num_classes or "an unknown number"
        raise _refused("a dataset of at least 2 classes", name, f"has {count}")
    return ClassificationFeatures(
        *pair, tuple(image.shape), label.num_classes, tuple(label.names or ())
    )


def _refused(expected: str, name: str, found: str) -> ArgumentValueError:
    return ArgumentValueError.about(
        "dataset",
        f"Argument `dataset` must name {expected}. Received: dataset={name!r}, which {found}",
    )


def _splits(builder: Any, dataset: str, folder: pathlib.Path, again: str) -> tuple[str, str]:
    """Returns the splits to train and to test on, of which no file is missing."""
    found = {split for split, info in builder.info.splits.items() if info.num_examples}
    wanted = ("validation",) if builder.name in NO_TEST_LABELS else ("test", "validation")
    test = next((split for split in wanted if split in found), None)
    if "train" not in found or test is None:
        missing = " or ".join(wanted) if "train" in found else "train"
        has = ", ".join(sorted(found)) or "none"
        raise FileNotFoundError(f"{folder} has no {missing} split; its splits: {has}")
    if test != wanted[0]:
        warnings.warn(
            f"Dataset {dataset} has no {wanted[0]} split: its {test} split takes its place",
            stacklevel=5,
        )
    for split in ("train", test):
        for path in builder.info.splits[split].filepaths:
            if not os.path.exists(path):
                raise FileNotFoundError(
                    f"Dataset {builder.info.name} is incomplete: {path} is missing. {again}"
                )
    return "train", test


def _read(
    builder: Any,
    split: str,
    features: ClassificationFeatures,
    shape: tuple[int, int, int],
    dataset: str,
    again: str,
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the images and labels of a split, in the order of its files."""
    import tensorflow as tf
    import tensorflow_datasets as tfds

    size = builder.info.splits[split].num_examples
    # Filled in place: joining batches at the end would take twice the memory.
    images = aligned_empty((size, *shape))
    labels = np.empty(size, np.int64)
    start = 0
    try:
        batches = builder.as_dataset(
            split=split,
            batch_size=READ_BATCH,
            shuffle_files=False,
            # It would keep a second copy of all images.
            read_config=tfds.ReadConfig(try_autocache=False),
        )
        for batch in tfds.as_numpy(batches):
            end = start + len(batch[features.label_key])
            images[start:end] = batch[features.image_key]
            labels[start:end] = batch[features.label_key]
            start = end
    except tf.errors.OpError as error:
        raise OSError(
            f"The {split} split in {builder.data_path} cannot be read ({_line(error)}). {again}"
        ) from error
    outside = np.flatnonzero((labels < 0) | (labels >= features.classes))
    if outside.size:
        raise ValueError(
            f"Dataset {dataset} must have labels from 0 to {features.classes - 1}. Received: "
            f"{labels[outside[0]]} for image {outside[0]} of its {split} split"
        )
    return images, labels


def _index(builder: Any, split: str, features: ClassificationFeatures, again: str) -> ImageRecords:
    """Returns the images of a split, to be read from its files."""
    info = builder.info.splits[split]
    files = [str(path) for path in info.filepaths]
    form = builder.info.file_format
    if form is not None and form.value != "tfrecord":
        raise OSError(
            f"The {split} split in {builder.data_path} has {form.value} files; images that do not "
            "fit in memory are only read from tfrecord files"
        )
    try:
        records = index_records(files, features.image_key, features.label_key)
    except OSError as error:
        raise OSError(f"The {split} split cannot be read ({error}). {again}") from error
    if len(records) != info.num_examples:
        raise OSError(
            f"The {split} split in {builder.data_path} should hold "
            f"{counted(info.num_examples, 'image')}, but holds {len(records)}. {again}"
        )
    return records


def _line(error: Exception) -> str:
    """Returns an error as one line, without TensorFlow's description of its graph."""
    lines = re.sub(r"\{\{.*?\}\} *| *\[Op:.*", "", str(error).strip()).splitlines()
    return ": ".join([type(error).__name__, *lines[:1]])
