"""A dataset of images that are read while they are used."""

import dataclasses

import numpy as np

from keras_selectscale.data.arguments import as_integer
from keras_selectscale.data.encoded_images import EncodedImages
from keras_selectscale.data.inception_augmentation import InceptionAugmentation

# Of ImageNet's training images, red, green and blue; the grey ones are their means.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
GREY_MEAN, GREY_STD = (0.449,), (0.226,)
# Height and width where images have none in common.
DEFAULT_SIZE = 224


@dataclasses.dataclass(frozen=True, eq=False)
class StreamedImages:
    """A dataset of labelled images of any size, read from the disk batch by batch.

    Its use is that of `ImageData`. To evaluate, the shorter side of an image is brought to
    `size * 256 / 224` pixels and the square of `size` in its centre is cut out; to train, see
    `InceptionAugmentation`.

    Args:
        name: Name by which `load` gives it.
        train: The training images.
        test: The images to evaluate with.
        classes: Number of classes, at least 2.
        size: Height and width to which the images are brought, at least 1.
        channels: 3 (grey images become colour ones) or 1.
        augmentation: What is done to training images at random.

    Raises:
        TypeError: Where `classes` or `size` is no integer.
        ValueError: Where one is out of its range, or a split is empty.
    """

    name: str
    train: EncodedImages
    test: EncodedImages
    classes: int
    size: int
    channels: int = 3
    augmentation: InceptionAugmentation = InceptionAugmentation()

    def __post_init__(self):
        as_integer("classes", self.classes, 2)
        as_integer("size", self.size, 1)
        if self.channels not in (1, 3):
            raise ValueError(
                f"Argument `channels` must be 1 or 3. Received: channels={self.channels!r}"
            )
        for split in ("train", "test"):
            if not len(getattr(self, split)):
                raise ValueError(f"Argument `{split}` must hold at least 1 image. Received: none")

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of an image as the network sees it."""
        return self.size, self.size, self.channels

    @property
    def mean(self) -> tuple[float, ...]:
        """Of each channel, of pixels divided by 255: that of ImageNet, whatever the dataset."""
        return MEAN if self.channels == 3 else GREY_MEAN

    @property
    def std(self) -> tuple[float, ...]:
        """The standard deviation of the same."""
        return STD if self.channels == 3 else GREY_STD

    @property
    def train_count(self) -> int:
        """Number of training images."""
        return len(self.train)

    @property
    def test_count(self) -> int:
        """Number of test images."""
        return len(self.test)

    @property
    def train_labels(self) -> np.ndarray:
        """Labels of the training images, int64; TFRecord files are read through for them, once."""
        return self._labels("train")

    @property
    def test_labels(self) -> np.ndarray:
        """Labels of the test images, as `train_labels`."""
        return self._labels("test")

    def with_training_images(self, chosen: np.ndarray) -> "StreamedImages":
        """Returns the same dataset with some of its training images, in the order of `chosen`."""
        return dataclasses.replace(self, train=self.train.subset(chosen))

    def _labels(self, split: str) -> np.ndarray:
        images = getattr(self, split)
        labels = images.labels
        outside = (labels < 0) | (labels >= self.classes)
        if outside.any():
            number = int(np.argmax(outside))
            raise ValueError(
                f"Dataset {self.name} has labels from 0 to {self.classes - 1}, and the image "
                f"{images.describe(number)} has {labels[number]}"
            )
        return labels


def streamed(
    name: str, train: EncodedImages, test: EncodedImages, classes: int, size: int, channels: int
) -> StreamedImages:
    """Returns streamed images, mirrored while training where they are in colour.

    Grey ones are mostly writing, whose mirror image is another sign.

    Args:
        name: As of `StreamedImages`, and so are the others.
        train: The training images.
        test: The images to evaluate with.
        classes: Number of classes.
        size: Height and width.
        channels: 3 or 1.
    """
    augmentation = InceptionAugmentation(flip=channels == 3)
    return StreamedImages(name, train, test, classes, size, channels, augmentation)
