"""Datasets of images that are read from the disk while they are used."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_selectscale.checks import as_integer, value_error
from keras_selectscale.data.augmentation import InceptionAugmentation
from keras_selectscale.data.dataset import Dataset, HoldOut
from keras_selectscale.data.encoded_images import EncodedImages

if TYPE_CHECKING:
    import tensorflow as tf

# Statistics of ImageNet's training images: red, green and blue; for grey images, their means.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
GREY_MEAN, GREY_STD = (0.449,), (0.226,)
# Height and width if the images have no common size.
DEFAULT_SIZE = 224


class Streamed(Dataset):
    """Base class of the streamed datasets; the encoded images are attributes named by split."""

    size: int
    channels: int
    train: EncodedImages
    augmentation: InceptionAugmentation

    def __post_init__(self):
        as_integer("classes", self.classes, 2)
        self.check_class_names()
        as_integer("size", self.size, 1)
        if self.channels not in (1, 3):
            raise value_error("channels", "1 or 3", self.channels)
        for split in self.splits:
            if not len(getattr(self, split)):
                raise ValueError(f"Argument `{split}` must hold at least 1 image. Received: none")

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of an image as the network receives it."""
        return self.size, self.size, self.channels

    @property
    def mean(self) -> tuple[float, ...]:  # type: ignore[override]
        """Mean of each channel, of pixels divided by 255: that of ImageNet for any dataset."""
        return MEAN if self.channels == 3 else GREY_MEAN

    @property
    def std(self) -> tuple[float, ...]:  # type: ignore[override]
        """Standard deviation of each channel, likewise."""
        return STD if self.channels == 3 else GREY_STD

    @property
    def train_labels(self) -> np.ndarray:  # type: ignore[override]
        """Labels of the training images, int64; for them, TFRecord files are read once."""
        return self.labels("train")

    def encoded(self, split: str) -> EncodedImages:
        """Returns the encoded images of a split."""
        return getattr(self, self.check_split(split))

    def count(self, split: str) -> int:
        """Returns the number of images of a split."""
        return len(self.encoded(split))

    def labels(self, split: str) -> np.ndarray:
        """Returns the labels of a split.

        Raises:
            ValueError: If a label is out of range, with the place of its image.
        """
        images = self.encoded(split)
        labels = images.labels
        outside = (labels < 0) | (labels >= self.classes)
        if outside.any():
            number = int(np.argmax(outside))
            raise ValueError(
                f"Dataset {self.name} must have labels from 0 to {self.classes - 1}. Received: "
                f"{labels[number]} for the image {images.describe(number)}"
            )
        return labels

    def digest(self, split: str) -> dict[str, Any]:
        """Returns the SHA-256 of the sizes or places of the encoded images, which are not read."""
        images = self.encoded(split)
        what, values = images.extents()
        found = hashlib.sha256(np.ascontiguousarray(values).data).hexdigest()
        return {"images": len(images), "sha256": found, "of": what}

    def with_training_images(self, chosen: np.ndarray) -> Streamed:
        """Returns the same dataset with some of its training images, in the order of `chosen`."""
        return dataclasses.replace(self, train=self.train.subset(chosen))  # type: ignore[type-var]

    def hold_out(self, kept: np.ndarray, held: np.ndarray) -> HoldOutStreamedImages:
        """Returns the training images `kept` with the training images `held` to validate on."""
        return HoldOutStreamedImages(
            name=self.name,
            train=self.train.subset(kept),
            validation=self.train.subset(held),
            classes=self.classes,
            size=self.size,
            channels=self.channels,
            augmentation=self.augmentation,
            class_names=self.class_names,
        )

    def brought_to(self, image_size: int | None) -> Streamed:
        """Returns the dataset with height and width `image_size`."""
        if image_size is None or image_size == self.size:
            return self
        return dataclasses.replace(self, size=image_size)  # type: ignore[type-var]

    def _training_batches(self, batch_size: int, seed: int, first_step: int) -> tf.data.Dataset:
        from keras_selectscale.data import streamed_batches

        return streamed_batches.streamed_training(self, batch_size, seed, first_step)

    def _evaluation_batches(self, batch_size: int, split: str) -> tf.data.Dataset:
        from keras_selectscale.data import streamed_batches

        return streamed_batches.streamed_evaluation(self, batch_size, split)


@dataclasses.dataclass(frozen=True, eq=False)
class StreamedImages(Streamed):
    """A dataset of labelled images of any size, read from the disk batch by batch.

    It is used like `ImageData`. For evaluation, the shorter side of an image is resized to
    `size * 256 / 224` pixels and the square of `size` in its centre is cropped; for training, see
    `InceptionAugmentation`.

    Args:
        name: Name by which `load` returns it.
        train: The training images.
        test: The test images.
        classes: Number of classes, at least 2.
        size: Height and width to which the images are resized, at least 1.
        channels: 3, to which grey images are converted, or 1.
        augmentation: Random changes to training images.
        class_names: Name of each class, or `()` if they have none.

    Raises:
        TypeError: If `classes` or `size` is not an integer.
        ValueError: If a value is out of range, or a split is empty.
    """

    name: str
    train: EncodedImages
    test: EncodedImages
    classes: int
    size: int
    channels: int = 3
    augmentation: InceptionAugmentation = InceptionAugmentation()
    class_names: tuple[str, ...] = ()

    @property
    def test_count(self) -> int:
        """Number of test images."""
        return len(self.test)

    @property
    def test_labels(self) -> np.ndarray:
        """Labels of the test images, like `train_labels`."""
        return self.labels("test")


@dataclasses.dataclass(frozen=True, eq=False)
class HoldOutStreamedImages(HoldOut, Streamed):
    """Streamed images of which some are held out to validate on; see `StreamedImages`."""

    name: str
    train: EncodedImages
    validation: EncodedImages
    classes: int
    size: int
    channels: int = 3
    augmentation: InceptionAugmentation = InceptionAugmentation()
    class_names: tuple[str, ...] = ()

    @property
    def validation_count(self) -> int:
        """Number of validation images."""
        return len(self.validation)

    @property
    def validation_labels(self) -> np.ndarray:
        """Labels of the validation images, like `train_labels`."""
        return self.labels("validation")


def streamed(
    name: str,
    train: EncodedImages,
    test: EncodedImages,
    classes: int,
    size: int,
    channels: int,
    class_names: Sequence[str] = (),
) -> StreamedImages:
    """Returns streamed images that are mirrored for training if they have colours.

    Grey images are mostly writing, and a mirrored sign is a different one. The arguments are those
    of `StreamedImages`.
    """
    augmentation = InceptionAugmentation(flip=channels == 3)
    names = tuple(class_names)
    return StreamedImages(name, train, test, classes, size, channels, augmentation, names)
