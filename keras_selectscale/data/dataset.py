"""The protocol of image datasets, in memory or streamed, and the functions that make batches."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from keras_selectscale.argument_names import named_arguments
from keras_selectscale.checks import as_choice, as_integer, value_error
from keras_selectscale.environment import require
from keras_selectscale.object_checks import as_boolean, as_instance, as_sequence, as_string

if TYPE_CHECKING:
    import tensorflow as tf


class Dataset(abc.ABC):
    """A dataset of labelled images with a training split and an evaluation split.

    The evaluation split is called `"test"`, or `"validation"` if `validation_split` held it out of
    the training images. The attributes of a split start with its name, so that nothing called
    `test_…` ever holds validation images.

    Attributes:
        name: Name by which `load` returns it.
        classes: Number of classes.
        class_names: Name of each class, or `()` if they have none.
        mean: Mean of each channel, of pixels divided by 255.
        std: Standard deviation of each channel, of pixels divided by 255.
        augmentation: Random changes to training images, an `Augmentation` or
            `InceptionAugmentation`.
        train_labels: int64 labels of the training images, of shape `(images,)`.
        evaluation_split: Name of the evaluation split.
        in_memory: Whether the images are NumPy arrays, which can also be copied to an accelerator.
    """

    name: str
    classes: int
    class_names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    augmentation: Any
    train_labels: np.ndarray
    evaluation_split: ClassVar[str] = "test"
    in_memory: ClassVar[bool] = False

    def check_class_names(self) -> None:
        """Checks that there is a name for each class, or none at all.

        Raises:
            TypeError: If a name is not a string.
            ValueError: If there are more or fewer names than classes.
        """
        names = as_sequence("class_names", self.class_names)
        if len(names) not in (0, self.classes):
            raise value_error("class_names", f"a name for each of {self.classes} classes", names)
        for name in names:
            as_string("class_names", name)

    @property
    @abc.abstractmethod
    def input_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of an image as the network receives it."""

    @property
    def splits(self) -> tuple[str, str]:
        """Names of the training split and of the evaluation split."""
        return "train", self.evaluation_split

    def check_split(self, split: str | None) -> str:
        """Returns `split`, or the name of the evaluation split if it is `None`.

        Raises:
            TypeError: If `split` is not a string.
            ValueError: If the dataset has no such split.
        """
        return self.evaluation_split if split is None else as_choice("split", split, self.splits)

    @abc.abstractmethod
    def count(self, split: str) -> int:
        """Returns the number of images of a split."""

    @abc.abstractmethod
    def labels(self, split: str) -> np.ndarray:
        """Returns the int64 labels of a split, of shape `(images,)`."""

    def arrays(self, split: str) -> tuple[np.ndarray, np.ndarray]:
        """Returns the images and labels of a split as NumPy arrays.

        Raises:
            TypeError: If the images are not in memory.
        """
        raise TypeError(f"The images of {self.name} are streamed and not available as an array")

    @abc.abstractmethod
    def digest(self, split: str) -> dict[str, Any]:
        """Returns what tells the images of a split from others, for the record of a run.

        Returns:
            `images`, their number; `sha256`; and `of`, what was hashed. Of images in memory, these
            are the pixels and labels in their order. Streamed images are not read for it; their
            sizes in bytes, or their places in the files, are hashed.
        """

    @property
    def train_count(self) -> int:
        """Number of training images."""
        return self.count("train")

    @property
    def evaluation_count(self) -> int:
        """Number of images of the evaluation split."""
        return self.count(self.evaluation_split)

    def training_batches(
        self, *, batch_size: int, seed: int, first_step: int = 0
    ) -> tf.data.Dataset:
        """Returns endless training batches; see `keras_selectscale.data.training_batches`."""
        batch_size = as_integer("batch_size", batch_size, 1)
        seed = as_integer("seed", seed, 0)
        first_step = as_integer("first_step", first_step, 0)
        require("tensorflow", "tensorflow", "Making batches with tf.data")
        return self._training_batches(batch_size, seed, first_step)

    def evaluation_batches(self, *, batch_size: int, split: str | None = None) -> tf.data.Dataset:
        """Returns the batches of a split; see `keras_selectscale.data.evaluation_batches`."""
        batch_size = as_integer("batch_size", batch_size, 1)
        split = self.check_split(split)
        require("tensorflow", "tensorflow", "Making batches with tf.data")
        return self._evaluation_batches(batch_size, split)

    @abc.abstractmethod
    def with_training_images(self, chosen: np.ndarray) -> Dataset:
        """Returns the same dataset with some of its training images, in the order of `chosen`."""

    @abc.abstractmethod
    def hold_out(self, kept: np.ndarray, held: np.ndarray) -> Dataset:
        """Returns the training images `kept` with the training images `held` as validation split.

        The evaluation images of this dataset are not part of the result.
        """

    @abc.abstractmethod
    def brought_to(self, image_size: int | None) -> Dataset:
        """Returns the dataset with height and width `image_size`; `None` changes nothing."""

    def with_flip(self, flip: bool) -> Dataset:
        """Returns the dataset with training images mirrored, or not mirrored, at random."""
        augmentation = dataclasses.replace(self.augmentation, flip=as_boolean("flip", flip))
        return dataclasses.replace(self, augmentation=augmentation)  # type: ignore[type-var]

    @abc.abstractmethod
    def _training_batches(self, batch_size: int, seed: int, first_step: int) -> tf.data.Dataset:
        """Returns the batches of `training_batches`, whose arguments are checked."""

    @abc.abstractmethod
    def _evaluation_batches(self, batch_size: int, split: str) -> tf.data.Dataset:
        """Returns the batches of `evaluation_batches`, whose arguments are checked."""


class HoldOut:
    """Mixin of the datasets whose evaluation images were held out of the training images."""

    name: str
    evaluation_split: ClassVar[str] = "validation"

    def __getattr__(self, attribute: str) -> Any:
        """Explains why a hold-out has no test images."""
        if attribute == "test" or attribute.startswith("test_"):
            raise AttributeError(
                f"This dataset has no `{attribute}`: its evaluation images were held out of the "
                f"training images of {self.name}. Use `{attribute.replace('test', 'validation')}`"
            )
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {attribute!r}")


class Request(NamedTuple):
    """A request to read a dataset.

    Attributes:
        name: Name that `load` received.
        place: The part of it that varies, such as `PATH` in `folder:PATH`.
        data_dir: Folder of prepared and packed datasets; `None` stands for the default.
        image_size: Height and width of the resized images, or `None`.
    """

    name: str
    place: str
    data_dir: Any = None
    image_size: int | None = None


@dataclasses.dataclass(frozen=True)
class Source:
    """A dataset, or a kind of datasets, that `load` can read.

    Attributes:
        form: Its name, or the form of its names, such as `folder:PATH`.
        description: One line for `keras-selectscale list`.
        read: Reads a dataset. It need not resize images in memory to the requested size.
        place: Value of `Request.place` if the name is fixed.
        accepts: Whether the varying part of a name is well-formed.
        changes: Whether the images may change, so that a packed copy is used only if they are
            missing.
        network: Network with which `compare` trains by default.
        epochs: Epochs for which `compare` trains by default.
        batch_size: Batch size with which `compare` trains by default.
    """

    form: str
    description: str
    read: Callable[[Request], Dataset]
    place: str = ""
    accepts: Callable[[str], bool] = bool
    changes: bool = False
    network: str = "resnet-20"
    epochs: int = 20
    batch_size: int = 128


def steps_per_epoch(data: Dataset, batch_size: int) -> int:
    """Returns the number of batches in which every training image occurs once."""
    return -(-_checked(data).train_count // as_integer("batch_size", batch_size, 1))


@named_arguments
def training_batches(
    data: Dataset, *, batch_size: int, seed: int, first_step: int = 0
) -> tf.data.Dataset:
    """Returns endless batches of shuffled, augmented and normalized training images.

    An epoch visits every image once. Its last batch is smaller if `batch_size` does not divide the
    number of images. The order depends on the seed and the epoch only, and the augmentation of a
    batch on the seed and its step only: batch `i` of a dataset that starts at `first_step` equals
    batch `first_step + i` of one that starts at 0, to the bit. A run that stopped anywhere
    continues with the batches it would have seen, and no two epochs are alike.

    Images in memory are padded with pixels of value 0, cropped to their size, mirrored with
    probability 1/2 if `data.augmentation.flip` is set, and normalized:
    `(pixel / 255 - mean) / std`. Streamed images are read, decoded and augmented one by one (see
    `InceptionAugmentation`), by the seed and the position of the image in the run.

    Args:
        data: Dataset whose training split to use. Images in memory keep their dtype and are not
            copied if their array is aligned, so do not change it while batches are in use.
        batch_size: Images per batch, at least 1.
        seed: At least 0.
        first_step: Number of batches to leave out, at least 0. They are not computed.

    Returns:
        A dataset of `(images, labels)`, float32 of shape `(batch, height, width, channels)` and
        int64 of shape `(batch,)`.

    Raises:
        TypeError: If `data` is not a dataset of this package, or a number is not an integer.
        ValueError: If a number is out of range.
        ModuleNotFoundError: If TensorFlow is not installed.

    A streamed image that cannot be used stops the iteration; see `image_errors`.
    """
    return _checked(data).training_batches(batch_size=batch_size, seed=seed, first_step=first_step)


@named_arguments
def evaluation_batches(
    data: Dataset, *, batch_size: int, split: str | None = None
) -> tf.data.Dataset:
    """Returns all images of a split once, in their order, normalized and not augmented.

    Args:
        data: Dataset to evaluate on.
        batch_size: Images per batch, at least 1; the last batch may be smaller.
        split: `"train"`, or the name of the evaluation split: `"test"`, or `"validation"` for a
            dataset of `validation_split`. `None` stands for the evaluation split.

    Returns:
        A finite dataset of `(images, labels)`, as of `training_batches`.

    Raises:
        TypeError: If `data` is not a dataset of this package, or `batch_size` is not an integer.
        ValueError: If `batch_size` is below 1, or `data` has no such split.
        ModuleNotFoundError: If TensorFlow is not installed.
    """
    return _checked(data).evaluation_batches(batch_size=batch_size, split=split)


def _checked(data: Dataset) -> Dataset:
    return as_instance("data", data, Dataset, "a dataset as `data.load` returns it")
