"""Datasets of images in memory."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from keras_selectscale.checks import as_integer, as_number, value_error
from keras_selectscale.data.arrays import mean_and_std, resized
from keras_selectscale.data.augmentation import Augmentation
from keras_selectscale.data.dataset import Dataset, HoldOut
from keras_selectscale.object_checks import as_instance, as_sequence, as_string

if TYPE_CHECKING:
    import tensorflow as tf


# More than any dataset has; every class costs memory when images are counted.
MOST_CLASSES = 2**20
SMALLEST_STD = 1e-6


class InMemory(Dataset):
    """Base class of the datasets in memory; arrays are attributes named after their split."""

    augmentation: Augmentation
    train_images: np.ndarray
    in_memory: ClassVar[bool] = True

    def __post_init__(self):
        as_string("name", self.name)
        as_instance("augmentation", self.augmentation, Augmentation, "an Augmentation")
        as_integer("classes", self.classes, 2, MOST_CLASSES)
        self.check_class_names()
        for split in self.splits:
            self._check_images(f"{split}_images")
            self._check_labels(f"{split}_labels", split)
        for name, lowest in (("mean", -np.inf), ("std", 0.0)):
            values = as_sequence(name, getattr(self, name))
            numbers = [as_number(name, value) for value in values]
            if len(numbers) != self.input_shape[-1] or not all(each > lowest for each in numbers):
                expected = (
                    f"a finite number{' above 0' * (name == 'std')} for each of the "
                    f"{self.input_shape[-1]} channels"
                )
                raise value_error(name, expected, values)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of an image."""
        return self.train_images.shape[1:]

    def count(self, split: str) -> int:
        """Returns the number of images of a split."""
        return len(self.labels(split))

    def labels(self, split: str) -> np.ndarray:
        """Returns the labels of a split."""
        return getattr(self, f"{self.check_split(split)}_labels")

    def arrays(self, split: str) -> tuple[np.ndarray, np.ndarray]:
        """Returns the images and labels of a split."""
        return getattr(self, f"{self.check_split(split)}_images"), self.labels(split)

    def digest(self, split: str) -> dict[str, Any]:
        """Returns the SHA-256 of the pixels, their dtype and shape, and the labels of a split."""
        images, labels = self.arrays(split)
        found = hashlib.sha256(f"{images.dtype.name} {images.shape}".encode())
        for array in (images, labels):
            found.update(np.ascontiguousarray(array).data)
        return {"images": len(labels), "sha256": found.hexdigest(), "of": "pixels and labels"}

    def with_training_images(self, chosen: np.ndarray) -> InMemory:
        """Returns the same dataset with some of its training images, in the order of `chosen`."""
        return self._with(
            train_images=self.train_images[chosen], train_labels=self.train_labels[chosen]
        )

    def hold_out(self, kept: np.ndarray, held: np.ndarray) -> HoldOutImageData:
        """Returns the training images `kept` with the training images `held` to validate on."""
        return HoldOutImageData(
            name=self.name,
            train_images=self.train_images[kept],
            train_labels=self.train_labels[kept],
            validation_images=self.train_images[held],
            validation_labels=self.train_labels[held],
            classes=self.classes,
            mean=self.mean,
            std=self.std,
            augmentation=self.augmentation,
            class_names=self.class_names,
        )

    def brought_to(self, image_size: int | None) -> InMemory:
        """Returns the dataset with height and width `image_size`, bilinear and antialiased.

        The shorter side is resized to it, and the longer one is cropped to its centre. Mean,
        standard deviation and padding are those of the new images.
        """
        if image_size is None or self.input_shape[:2] == (image_size, image_size):
            return self
        images = {
            f"{split}_images": resized(self.arrays(split)[0], image_size) for split in self.splits
        }
        mean, std = _statistics(self.name, images["train_images"])
        padding = _padding(image_size, image_size)
        augmentation = dataclasses.replace(self.augmentation, padding=padding)
        return self._with(**images, mean=mean, std=std, augmentation=augmentation)

    def _with(self, **changes: Any) -> InMemory:
        return dataclasses.replace(self, **changes)  # type: ignore[type-var]

    def _training_batches(self, batch_size: int, seed: int, first_step: int) -> tf.data.Dataset:
        from keras_selectscale.data import arrays

        return arrays.array_training(self, batch_size, seed, first_step)

    def _evaluation_batches(self, batch_size: int, split: str) -> tf.data.Dataset:
        from keras_selectscale.data import arrays

        return arrays.array_evaluation(self, batch_size, split)

    def _check_images(self, name: str) -> None:
        images = as_instance(name, getattr(self, name), np.ndarray, "a NumPy array")
        if images.dtype != np.uint8 and not np.issubdtype(images.dtype, np.floating):
            raise TypeError(
                f"Argument `{name}` must be uint8 or floating. "
                f"Received: an array of dtype {images.dtype}"
            )
        if images.ndim != 4 or 0 in images.shape:
            raise ValueError(
                f"Argument `{name}` must have the shape (images, height, width, channels), with "
                f"at least 1 of each. Received: an array of shape {images.shape}"
            )
        if images.shape[1:] != self.input_shape:
            raise ValueError(
                f"Argument `{name}` must hold images of shape {self.input_shape}, as "
                f"`train_images` does. Received: an array of shape {images.shape}"
            )

    def _check_labels(self, name: str, split: str) -> None:
        images, labels = self.arrays(split)
        as_instance(name, labels, np.ndarray, "a NumPy array")
        if labels.dtype != np.int64:
            raise TypeError(
                f"Argument `{name}` must be int64. Received: an array of dtype {labels.dtype}"
            )
        if labels.shape != (len(images),):
            raise ValueError(
                f"Argument `{name}` must have the shape ({len(images)},), a label for each of "
                f"`{split}_images`. Received: an array of shape {labels.shape}"
            )
        outside = (labels < 0) | (labels >= self.classes)
        if outside.any():
            raise ValueError(
                f"Argument `{name}` must hold labels from 0 to {self.classes - 1}. "
                f"Received: {labels[outside][0]} at index {int(np.argmax(outside))}"
            )


# Compared by identity: a comparison of two arrays has no single truth value.
@dataclasses.dataclass(frozen=True, eq=False)
class ImageData(InMemory):
    """A dataset of labelled images in memory, with their normalization and augmentation.

    Args:
        name: Name by which `load` returns it.
        train_images: Pixels from 0 to 255, uint8 or floating, of shape
            `(images, height, width, channels)`.
        train_labels: int64 of shape `(images,)`, from 0 to `classes - 1`.
        test_images: Like `train_images`, of the same height, width and channels.
        test_labels: Like `train_labels`.
        classes: Number of classes, from 2 to 2**20.
        mean: Mean of each channel over the whole training split, of pixels divided by 255.
        std: Standard deviation of each channel, likewise; above 0.
        augmentation: Random changes to training images.
        class_names: Name of each class, or `()` if they have none.

    Raises:
        TypeError: If an argument has the wrong type, or an array the wrong dtype.
        ValueError: If shapes do not match, a label is out of range, or a mean or standard deviation
            cannot normalize.
    """

    name: str
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    augmentation: Augmentation
    class_names: tuple[str, ...] = ()

    @property
    def test_count(self) -> int:
        """Number of test images."""
        return len(self.test_labels)


@dataclasses.dataclass(frozen=True, eq=False)
class HoldOutImageData(HoldOut, InMemory):
    """Images in memory of which some are held out to validate on; see `ImageData`."""

    name: str
    train_images: np.ndarray
    train_labels: np.ndarray
    validation_images: np.ndarray
    validation_labels: np.ndarray
    classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    augmentation: Augmentation
    class_names: tuple[str, ...] = ()

    @property
    def validation_count(self) -> int:
        """Number of validation images."""
        return len(self.validation_labels)


def in_memory(
    name: str,
    train: tuple[np.ndarray, np.ndarray],
    test: tuple[np.ndarray, np.ndarray],
    classes: int,
    class_names: Sequence[str] = (),
) -> ImageData:
    """Returns images in memory with the augmentation of CIFAR-10, in proportion to their size.

    They are padded by an eighth of their shorter side, and mirrored if they have colours: grey
    images are mostly writing, and a mirrored sign is a different one.

    Args:
        name: Name of the dataset.
        train: Training images and labels, as `ImageData` takes them.
        test: Test images and labels.
        classes: Number of classes.
        class_names: Their names, if they have any.

    Raises:
        ValueError: If a channel has the same value in all training images.
    """
    mean, std = _statistics(name, train[0])
    height, width, channels = train[0].shape[1:]
    augmentation = Augmentation(padding=_padding(height, width), flip=channels == 3)
    return ImageData(name, *train, *test, classes, mean, std, augmentation, tuple(class_names))


def _statistics(name: str, images: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    mean, std = mean_and_std(images)
    for channel, (each, deviation) in enumerate(zip(mean, std, strict=True)):
        # Below, there are rounding errors only.
        if deviation < SMALLEST_STD:
            raise ValueError(
                f"Dataset {name} must have training images that differ: channel {channel} is "
                f"{255 * each:g} in every pixel of all {len(images):,}"
            )
    return mean, std


def _padding(height: int, width: int) -> int:
    return max(1, min(height, width) // 8)
