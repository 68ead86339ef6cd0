"""A dataset of images in memory."""

import dataclasses

import numpy as np

from keras_selectscale.data.arguments import as_integer
from keras_selectscale.data.augmentation import Augmentation


# Compared by identity: two arrays have no single truth value.
@dataclasses.dataclass(frozen=True, eq=False)
class ImageData:
    """A dataset of labelled images in memory, with what normalises and augments them.

    Args:
        name: Name by which `load` gives it.
        train_images: Pixels from 0 to 255, uint8 or floating, of shape
            `(images, height, width, channels)`.
        train_labels: int64 of shape `(images,)`, from 0 to `classes - 1`.
        test_images: As `train_images`, of the same height, width and channels.
        test_labels: As `train_labels`.
        classes: Number of classes, at least 2.
        mean: Of each channel over the whole training split, of pixels divided by 255.
        std: The standard deviation of the same, above 0.
        augmentation: What is done to training images at random.

    Raises:
        TypeError: Where an array has another dtype, or `classes` is no integer.
        ValueError: Where shapes do not fit each other, a label is out of range, or a mean or
            standard deviation cannot normalise.
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

    def __post_init__(self):
        as_integer("classes", self.classes, 2)
        for split in ("train", "test"):
            self._check_images(f"{split}_images", getattr(self, f"{split}_images"))
            self._check_labels(f"{split}_labels", getattr(self, f"{split}_labels"), split)
        if self.test_images.shape[1:] != self.input_shape:
            raise ValueError(
                f"Argument `test_images` must hold images of shape {self.input_shape}, as "
                f"`train_images` does. Received: an array of shape {self.test_images.shape}"
            )
        for name, lowest in (("mean", -np.inf), ("std", 0.0)):
            values = getattr(self, name)
            fits = len(values) == self.input_shape[-1]
            if not fits or not all(lowest < value < np.inf for value in values):
                raise ValueError(
                    f"Argument `{name}` must hold a finite number{' above 0' * (name == 'std')} "
                    f"for each of the {self.input_shape[-1]} channels. Received: {name}={values!r}"
                )

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of an image."""
        return self.train_images.shape[1:]

    @property
    def train_count(self) -> int:
        """Number of training images."""
        return len(self.train_labels)

    @property
    def test_count(self) -> int:
        """Number of test images."""
        return len(self.test_labels)

    def with_training_images(self, chosen: np.ndarray) -> "ImageData":
        """Returns the same dataset with some of its training images, in the order of `chosen`."""
        return dataclasses.replace(
            self, train_images=self.train_images[chosen], train_labels=self.train_labels[chosen]
        )

    def _check_images(self, name: str, images: np.ndarray) -> None:
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

    def _check_labels(self, name: str, labels: np.ndarray, split: str) -> None:
        images = len(getattr(self, f"{split}_images"))
        if labels.dtype != np.int64:
            raise TypeError(
                f"Argument `{name}` must be int64. Received: an array of dtype {labels.dtype}"
            )
        if labels.shape != (images,):
            raise ValueError(
                f"Argument `{name}` must have the shape ({images},), a label for each of "
                f"`{split}_images`. Received: an array of shape {labels.shape}"
            )
        outside = (labels < 0) | (labels >= self.classes)
        if outside.any():
            raise ValueError(
                f"Argument `{name}` must hold labels from 0 to {self.classes - 1}. "
                f"Received: {labels[outside][0]} at index {int(np.argmax(outside))}"
            )
