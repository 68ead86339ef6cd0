"""Stratified subsets of a training split."""

import numpy as np

from keras_selectscale.data.any_images import AnyImages
from keras_selectscale.data.arguments import as_integer


def class_sizes(counts: np.ndarray, size: int) -> np.ndarray:
    """Shares `size` images out among classes, in proportion to their `counts`.

    Each class gets its exact share rounded down or up (the largest remainders up, the lowest class
    first among equal ones), and at least one image. That alone may move a class further from its
    share: where more rare classes are owed one than the rounding leaves room for, the classes that
    are furthest above their share give.

    Args:
        counts: Images of each class, int64, each at least 1.
        size: From the number of classes to the number of images.

    Returns:
        int64, at least 1 and at most `counts` each, of sum `size`.
    """
    total = int(counts.sum())
    sizes = np.maximum(counts * size // total, 1)
    while (missing := size - int(sizes.sum())) != 0:
        # What a class is still owed, in units of 1 / total of an image: integers, so no rounding.
        owed = counts * size - sizes * total
        if missing > 0:
            sizes[np.argsort(-owed, kind="stable")[:missing]] += 1
        else:
            sizes[np.argmin(np.where(sizes > 1, owed, np.iinfo(np.int64).max))] -= 1
    return sizes


def stratified_indices(labels: np.ndarray, size: int, classes: int, seed: int) -> np.ndarray:
    """Draws `size` images without replacement, each class in proportion to its images.

    Args:
        labels: int64 of shape `(images,)`, from 0 to `classes - 1`, every class present.
        size: From `classes` to the number of images.
        classes: Number of classes.
        seed: At least 0. The same seed gives the same images with every version of NumPy: the
            bits of PCG64 are promised to stay, what `Generator` makes of them is not.

    Returns:
        Ascending indices, int64 of shape `(size,)`, of class sizes as in `class_sizes`.
    """
    sizes = class_sizes(np.bincount(labels, minlength=classes), size)
    shuffled = np.argsort(np.random.PCG64(seed).random_raw(len(labels)), kind="stable")
    chosen = [
        shuffled[labels[shuffled] == label][:count] for label, count in enumerate(sizes.tolist())
    ]
    return np.sort(np.concatenate(chosen))


def training_subset(data: AnyImages, *, train_size: int, seed: int) -> AnyImages:
    """Returns the same dataset with a stratified subset of its training images.

    The test split is shared with `data`, not copied, and `mean` and `std` stay those of the whole
    training split. What TensorFlow Datasets prepared and is streamed is read through once, to
    know the labels.

    Args:
        data: Dataset to take from.
        train_size: Number of images to keep, from the number of classes to all.
        seed: What chooses them, at least 0. Other seeds choose other images, in the same number
            of each class.

    Raises:
        TypeError: Where `train_size` or `seed` is no integer.
        ValueError: Where either is out of its range, or a class has no training image.
    """
    train_size = as_integer("train_size", train_size, 1)
    seed = as_integer("seed", seed, 0)
    images = data.train_count
    if not data.classes <= train_size <= images:
        raise ValueError(
            f"Argument `train_size` must be from {data.classes} (one image of each class) to "
            f"{images} (all training images of {data.name}). Received: train_size={train_size}"
        )
    empty = np.flatnonzero(np.bincount(data.train_labels, minlength=data.classes) == 0)
    if empty.size:
        raise ValueError(
            "Argument `train_size` must be None where a class has no training image, since a "
            f"subset has some of each. Received: train_size={train_size} for {data.name}, whose "
            f"class {empty[0]} is empty"
        )
    chosen = stratified_indices(data.train_labels, train_size, data.classes, seed)
    return data.with_training_images(chosen)
