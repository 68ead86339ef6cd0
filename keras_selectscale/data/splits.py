"""Stratified subsets of the training images, and validation splits held out of them."""

import math

import numpy as np

from keras_selectscale.argument_names import named_arguments
from keras_selectscale.checks import as_integer, as_number, value_error
from keras_selectscale.data.dataset import Dataset
from keras_selectscale.object_checks import as_instance

DATASET = "a dataset as `data.load` returns it"


@named_arguments
def training_subset(data: Dataset, *, train_size: int, seed: int) -> Dataset:
    """Returns the same dataset with a stratified subset of its training images.

    The evaluation split is shared with `data`, not copied, and `mean` and `std` remain those of the
    whole training split. If the images are streamed from TensorFlow Datasets, all of their records
    are read once for the labels.

    Args:
        data: Dataset to choose from.
        train_size: Number of images to keep, from the number of classes to all.
        seed: Decides the choice, at least 0. Other seeds choose other images, in the same number
            for each class.

    Raises:
        TypeError: If `data` is not a dataset, or a number is not an integer.
        ValueError: If a number is out of range, or a class has no training image.
    """
    as_instance("data", data, Dataset, DATASET)
    train_size = as_integer("train_size", train_size, 1)
    seed = as_integer("seed", seed, 0)
    images = data.train_count
    if not data.classes <= train_size <= images:
        expected = (
            f"from {data.classes} (one image of each class) to {images} (all training images of "
            f"{data.name})"
        )
        raise value_error("train_size", expected, train_size)
    labels = data.labels("train")
    empty = np.flatnonzero(np.bincount(labels, minlength=data.classes) == 0)
    if empty.size:
        raise ValueError(
            "Argument `train_size` must be None if a class has no training image, because a subset "
            f"has some of each. Received: train_size={train_size} for {data.name}, whose class "
            f"{empty[0]} is empty"
        )
    return data.with_training_images(stratified_indices(labels, train_size, data.classes, seed))


@named_arguments
def validation_split(data: Dataset, *, share: float, seed: int) -> Dataset:
    """Returns a dataset that holds some training images out, to validate on.

    The result has the splits `"train"` and `"validation"`. It does not contain the test images of
    `data`, so nothing chosen on it can have seen them. Mean and standard deviation remain those of
    all training images of `data`.

    Args:
        data: Dataset to split.
        share: Share of the training images to hold out, in (0, 1). Each class is held out in
            proportion, with at least one image of each class on both sides.
        seed: Decides the choice, at least 0.

    Raises:
        TypeError: If `data` is not a dataset, or an argument is not a number.
        ValueError: If a number is out of range, or a class has fewer than two training images.
    """
    as_instance("data", data, Dataset, DATASET)
    seed = as_integer("seed", seed, 0)
    if not 0 < (checked := as_number("share", share)) < 1:
        raise value_error("share", "in (0, 1)", share)
    labels, count = data.labels("train"), data.train_count
    counts = np.bincount(labels, minlength=data.classes)
    if (counts < 2).any():
        label = int(np.argmax(counts < 2))
        raise ValueError(
            "Argument `data` must have two training images of each class, one to train on and one "
            f"to hold out. Received: {data.name}, with {counts[label]} of class {label}"
        )
    size = math.floor(checked * count + 0.5)
    size = min(max(size, data.classes), count - data.classes)
    held = stratified_indices(labels, size, data.classes, seed)
    kept = np.ones(count, bool)
    kept[held] = False
    # A class of two images may have been held out as a whole. Its last image goes back.
    for label in np.flatnonzero(np.bincount(labels[kept], minlength=data.classes) == 0).tolist():
        back = held[labels[held] == label][-1]
        kept[back] = True
        held = held[held != back]
    return data.hold_out(np.flatnonzero(kept), held)


def class_sizes(counts: np.ndarray, size: int) -> np.ndarray:
    """Distributes `size` images over the classes, in proportion to their `counts`.

    Each class gets its exact share rounded down or up (the largest remainders up, the lowest class
    first among equal ones), and at least one image. Only the latter may move a class further from
    its share: if rare classes need more images than rounding leaves, the classes furthest above
    their share give them.

    Args:
        counts: Images of each class, int64, each at least 1.
        size: From the number of classes to the number of images.

    Returns:
        int64, each from 1 to `counts`, with the sum `size`.
    """
    total = int(counts.sum())
    sizes = np.maximum(counts * size // total, 1)
    while (missing := size - int(sizes.sum())) != 0:
        # What each class still lacks, in units of 1 / total of an image, so that nothing is
        # rounded.
        owed = counts * size - sizes * total
        if missing > 0:
            sizes[np.argsort(-owed, kind="stable")[:missing]] += 1
        else:
            sizes[np.argmin(np.where(sizes > 1, owed, np.iinfo(np.int64).max))] -= 1
    return sizes


def stratified_indices(labels: np.ndarray, size: int, classes: int, seed: int) -> np.ndarray:
    """Draws `size` images without replacement, each class in proportion to its images.

    Args:
        labels: int64 of shape `(images,)`, from 0 to `classes - 1`, with every class present.
        size: From `classes` to the number of images.
        classes: Number of classes.
        seed: At least 0. A seed draws the same images with every version of NumPy: the bits of
            PCG64 are guaranteed to stay, the methods of `Generator` are not.

    Returns:
        Ascending indices, int64 of shape `(size,)`, with class sizes as in `class_sizes`.
    """
    sizes = class_sizes(np.bincount(labels, minlength=classes), size)
    shuffled = np.argsort(np.random.PCG64(seed).random_raw(len(labels)), kind="stable")
    chosen = [
        shuffled[labels[shuffled] == label][:count] for label, count in enumerate(sizes.tolist())
    ]
    return np.sort(np.concatenate(chosen))
