"""Reading an image dataset that TensorFlow Datasets prepared."""

import os
import pathlib
import re
import warnings
from typing import Any

import numpy as np

from keras_selectscale.data.classification_features import ClassificationFeatures, find_features
from keras_selectscale.data.image_data import ImageData
from keras_selectscale.data.image_records import ImageRecords, index_records
from keras_selectscale.data.in_memory import fits_in_memory, in_memory
from keras_selectscale.data.prepared_folder import find_prepared, preparation
from keras_selectscale.data.streamed_images import DEFAULT_SIZE, StreamedImages, streamed

# Images decoded at a time; 20 times as many are no faster.
READ_BATCH = 500
# Builders whose test split has no labels, and which are evaluated on the validation split.
NO_TEST_LABELS = ("imagenet2012",)


def load_prepared(
    name: str,
    data_dir: str | os.PathLike[str] | None,
    *,
    dataset: str | None = None,
    image_size: int | None = None,
) -> ImageData | StreamedImages:
    """Reads an image classification dataset, or finds its images where they are not to be read.

    Images whose builder gives them one size are read where they fit in memory; all others are
    streamed. The order is that of the files, at every call. A prepared folder is all that is
    needed: no builder's code, no network.

    The splits are `train` and `test`. Where there is no `test`, `validation` stands for it, with a
    warning; ImageNet's `test` has no labels, and there `validation` is what all report.

    Args:
        name: Name of a TensorFlow Datasets builder, `NAME`, `NAME/CONFIG` or either with a version,
            `NAME:1.0.0`.
        data_dir: As `prepared_folder.data_folder` takes it.
        dataset: Name that `load` was given, `None` where it is the same.
        image_size: As `load` takes it. Images in memory are not brought to it here.

    Raises:
        FileNotFoundError: Where the dataset is not prepared, or a file or split of it is missing.
        OSError: Where a file cannot be read.
        ValueError: Where it is no image classification dataset, or a label is out of range.
    """
    dataset = dataset or name
    folder = find_prepared(name, data_dir)
    bare = name.partition(":")[0]
    again = preparation(name, folder.parents[bare.count("/") + 1], folder)

    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder_from_directory(folder)
    except Exception as error:  # There is no common class: protobuf, json and TFDS have their own.
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
            return in_memory(dataset, train, test, features.classes)
        image_size = image_size or min(height, width)
    train_records, test_records = (_index(builder, split, features, again) for split in splits)
    size = image_size or DEFAULT_SIZE
    return streamed(dataset, train_records, test_records, features.classes, size, channels or 3)


def _splits(builder: Any, dataset: str, folder: pathlib.Path, again: str) -> tuple[str, str]:
    """Returns the splits to train and to test with; none of their files is missing."""
    there = {split for split, info in builder.info.splits.items() if info.num_examples}
    wanted = ("validation",) if builder.name in NO_TEST_LABELS else ("test", "validation")
    test = next((split for split in wanted if split in there), None)
    if "train" not in there or test is None:
        lacking = " or ".join(wanted) if "train" in there else "train"
        has = ", ".join(sorted(there)) or "none"
        raise FileNotFoundError(f"{folder} has no {lacking} split; its splits: {has}")
    if test != wanted[0]:
        warnings.warn(
            f"Dataset {dataset} has no {wanted[0]} split: its {test} split stands for it",
            stacklevel=4,
        )
    for split in ("train", test):
        for path in builder.info.splits[split].filepaths:
            if not path.exists():
                raise FileNotFoundError(
                    f"Dataset {builder.info.name} is not whole: {path} is missing. {again}"
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
    # Filled in place: to join the batches at the end would take the memory twice.
    images = np.empty((size, *shape), np.uint8)
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
            f"Dataset {dataset} has labels from 0 to {features.classes - 1}, and image "
            f"{outside[0]} of its {split} split has {labels[outside[0]]}"
        )
    return images, labels


def _index(builder: Any, split: str, features: ClassificationFeatures, again: str) -> ImageRecords:
    """Returns the images of a split, to be read from its files."""
    info = builder.info.splits[split]
    files = [str(path) for path in info.filepaths]
    form = builder.info.file_format
    if form is not None and form.value != "tfrecord":
        raise OSError(
            f"The {split} split in {builder.data_path} is of {form.value} files; images that do "
            "not fit in memory are read from tfrecord files alone"
        )
    try:
        records = index_records(files, features.image_key, features.label_key)
    except OSError as error:
        raise OSError(f"The {split} split cannot be read ({error}). {again}") from error
    if len(records) != info.num_examples:
        raise OSError(
            f"The {split} split in {builder.data_path} should hold {info.num_examples} images and "
            f"holds {len(records)}. {again}"
        )
    return records


def _line(error: Exception) -> str:
    """Returns an error as one line, without what TensorFlow says of its graph."""
    lines = re.sub(r"\{\{.*?\}\} *| *\[Op:.*", "", str(error).strip()).splitlines()
    return ": ".join([type(error).__name__, *lines[:1]])
