"""Reading an image dataset that TensorFlow Datasets prepared."""

import os
import pathlib
import re
from typing import Any

import numpy as np

from keras_selectscale.data.augmentation import Augmentation
from keras_selectscale.data.image_data import ImageData
from keras_selectscale.data.pixel_statistics import mean_and_std
from keras_selectscale.data.prepared_folder import find_prepared, preparation

# Images decoded at a time; 20 times as many are no faster.
READ_BATCH = 500


def load_prepared(
    name: str, data_dir: str | os.PathLike[str] | None, augmentation: Augmentation
) -> ImageData:
    """Reads the splits `train` and `test` of an image classification dataset into memory.

    The order is that of the files, at every call. A prepared folder is all that is needed: no
    builder's code, no network.

    Args:
        name: Name of a TensorFlow Datasets builder whose images have one size.
        data_dir: As `prepared_folder.data_folder` takes it.
        augmentation: What is done to its training images.

    Raises:
        FileNotFoundError: Where the dataset is not prepared, or a file of it is missing.
        OSError: Where a file cannot be read.
    """
    folder = find_prepared(name, data_dir)
    again = preparation(name, folder.parents[name.count("/") + 1], folder)

    import tensorflow as tf
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder_from_directory(folder)
    except Exception as error:  # There is no common class: protobuf, json and TFDS have their own.
        problem = f"The metadata in {folder} cannot be read ({_line(error)})"
        raise OSError(f"{problem}. {again}") from error
    arrays: dict[str, np.ndarray] = {}
    for split in ("train", "test"):
        _check_files(builder, split, folder, again)
        try:
            images, labels = _read(builder, split)
        except tf.errors.OpError as error:
            raise OSError(
                f"The {split} split in {folder} cannot be read ({_line(error)}). {again}"
            ) from error
        arrays[f"{split}_images"], arrays[f"{split}_labels"] = images, labels
    mean, std = mean_and_std(arrays["train_images"])
    return ImageData(
        name=name,
        **arrays,
        classes=builder.info.features["label"].num_classes,
        mean=mean,
        std=std,
        augmentation=augmentation,
    )


def _check_files(builder: Any, split: str, folder: pathlib.Path, again: str) -> None:
    """Raises where a file of a split is missing; reading would name none of this."""
    if split not in builder.info.splits:
        raise FileNotFoundError(f"{folder} has no {split} split. {again}")
    missing = [path for path in builder.info.splits[split].filepaths if not path.exists()]
    if missing:
        raise FileNotFoundError(
            f"Dataset {builder.info.name} is not whole: {missing[0]} is missing. {again}"
        )


def _read(builder: Any, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns the images and labels of a split, in the order of its files."""
    import tensorflow_datasets as tfds

    size = builder.info.splits[split].num_examples
    batches = builder.as_dataset(
        split=split,
        batch_size=READ_BATCH,
        shuffle_files=False,
        # It would keep a second copy of all images.
        read_config=tfds.ReadConfig(try_autocache=False),
    )
    # Filled in place: to join the batches at the end would take the memory twice.
    images = np.empty((size, *builder.info.features["image"].shape), np.uint8)
    labels = np.empty(size, np.int64)
    start = 0
    for batch in tfds.as_numpy(batches):
        end = start + len(batch["label"])
        images[start:end], labels[start:end] = batch["image"], batch["label"]
        start = end
    return images, labels


def _line(error: Exception) -> str:
    """Returns an error as one line, without what TensorFlow says of its graph."""
    lines = re.sub(r"\{\{.*?\}\} *| *\[Op:.*", "", str(error).strip()).splitlines()
    return ": ".join([type(error).__name__, *lines[:1]])
