"""Datasets whose images all have one size and fit in memory."""

import dataclasses

import numpy as np

from keras_selectscale.data.augmentation import Augmentation
from keras_selectscale.data.image_data import ImageData
from keras_selectscale.data.pixel_statistics import mean_and_std

# Bytes of the decoded images of both splits; what is larger is read while it is used.
LARGEST_IN_MEMORY = 2 * 2**30
# Images resized at a time.
CHUNK = 500


def fits_in_memory(images: int, shape: tuple[int, int, int], image_size: int | None) -> bool:
    """Returns whether so many uint8 images fit, both as they are and as they are to be.

    Args:
        images: Number of images, of both splits.
        shape: Height, width and channels.
        image_size: What height and width are brought to; `None` leaves them.
    """
    height, width, channels = shape
    pixels = max(height * width, (image_size or 0) ** 2)
    return images * pixels * channels <= LARGEST_IN_MEMORY


def in_memory(
    name: str,
    train: tuple[np.ndarray, np.ndarray],
    test: tuple[np.ndarray, np.ndarray],
    classes: int,
) -> ImageData:
    """Returns images in memory with the augmentation that suits CIFAR-10, in proportion.

    They are padded by an eighth of their shorter side and cropped, and mirrored where they are in
    colour: grey ones are mostly writing, whose mirror image is another sign.

    Args:
        name: Name of the dataset.
        train: Training images and labels, as of `ImageData`.
        test: Test images and labels.
        classes: Number of classes.
    """
    mean, std = mean_and_std(train[0])
    height, width, channels = train[0].shape[1:]
    return ImageData(
        name=name,
        train_images=train[0],
        train_labels=train[1],
        test_images=test[0],
        test_labels=test[1],
        classes=classes,
        mean=mean,
        std=std,
        augmentation=Augmentation(padding=_padding(height, width), flip=channels == 3),
    )


def brought_to_size(data: ImageData, image_size: int | None) -> ImageData:
    """Returns a dataset with height and width brought to one number, bilinear and antialiased.

    The shorter side is brought to it, and of the longer one the centre is kept. Mean, standard
    deviation and padding are those of the new images.

    Args:
        data: Dataset of uint8 images.
        image_size: The number; `None` returns `data`.
    """
    if image_size is None or data.input_shape[:2] == (image_size, image_size):
        return data
    train_images = _resized(data.train_images, image_size)
    mean, std = mean_and_std(train_images)
    return dataclasses.replace(
        data,
        train_images=train_images,
        test_images=_resized(data.test_images, image_size),
        mean=mean,
        std=std,
        augmentation=dataclasses.replace(
            data.augmentation, padding=_padding(image_size, image_size)
        ),
    )


def _padding(height: int, width: int) -> int:
    return max(1, min(height, width) // 8)


def _resized(images: np.ndarray, image_size: int) -> np.ndarray:
    import tensorflow as tf

    height, width, channels = images.shape[1:]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    result = np.empty((len(images), image_size, image_size, channels), np.uint8)
    for start in range(0, len(images), CHUNK):
        chunk = images[start : start + CHUNK, top : top + side, left : left + side]
        with tf.device("CPU:0"):
            pixels = tf.image.resize(chunk, (image_size, image_size), antialias=True).numpy()
        result[start : start + CHUNK] = np.clip(np.round(pixels), 0, 255)
    return result
