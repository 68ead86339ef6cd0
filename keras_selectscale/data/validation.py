"""A validation split of the training images."""

import dataclasses
import math
import numbers

import numpy as np

from keras_selectscale.data.any_images import AnyImages
from keras_selectscale.data.arguments import as_integer
from keras_selectscale.data.image_data import ImageData
from keras_selectscale.data.subset import stratified_indices


def validation_split(data: AnyImages, *, share: float, seed: int) -> AnyImages:
    """Returns a dataset whose test images are held out of the training images of another one.

    What is chosen on it cannot have seen the test images of `data`: they are not in it. Mean and
    standard deviation stay those of `data`, of all its training images.

    Args:
        data: Dataset to split.
        share: Which share of the training images is held out, in (0, 1): as near to it as leaves at
            least one image of each class on both sides. Each class is held out in proportion.
        seed: What chooses them, at least 0.

    Raises:
        TypeError: Where an argument is no number.
        ValueError: Where one is out of its range, or a class has fewer than two training images.
    """
    seed = as_integer("seed", seed, 0)
    if isinstance(share, bool) or not isinstance(share, numbers.Real):
        raise TypeError(
            f"Argument `share` must be a number. "
            f"Received: share={share!r} (of type {type(share).__name__})"
        )
    if not 0 < share < 1:
        raise ValueError(f"Argument `share` must be in (0, 1). Received: share={share!r}")
    counts = np.bincount(data.train_labels, minlength=data.classes)
    if (counts < 2).any():
        label = int(np.argmax(counts < 2))
        raise ValueError(
            "Argument `data` must have two training images of each class, one to train on and one "
            f"to hold out. Received: {data.name}, with {counts[label]} of class {label}"
        )
    size = math.floor(float(share) * data.train_count + 0.5)
    size = min(max(size, data.classes), data.train_count - data.classes)
    held = stratified_indices(data.train_labels, size, data.classes, seed)
    kept = np.ones(data.train_count, bool)
    kept[held] = False
    # A class of two may have gone whole: it keeps its last image.
    for label in np.flatnonzero(
        np.bincount(data.train_labels[kept], minlength=data.classes) == 0
    ).tolist():
        back = held[data.train_labels[held] == label][-1]
        kept[back] = True
        held = held[held != back]
    rest = np.flatnonzero(kept)
    if isinstance(data, ImageData):
        return dataclasses.replace(
            data.with_training_images(rest),
            test_images=data.train_images[held],
            test_labels=data.train_labels[held],
        )
    return dataclasses.replace(data.with_training_images(rest), test=data.train.subset(held))
