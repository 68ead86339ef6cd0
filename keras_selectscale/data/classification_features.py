"""Which features of a TensorFlow Datasets builder are the image and the class."""

from typing import Any, NamedTuple

import numpy as np


class ClassificationFeatures(NamedTuple):
    """The features that classification takes: their names, the images' shape and the classes."""

    image_key: str
    label_key: str
    shape: tuple[int | None, int | None, int | None]
    classes: int


def find_features(builder: Any, name: str) -> ClassificationFeatures:
    """Finds the image and the class label of a builder.

    They are what the builder itself calls input and target, or the features `image` and `label`,
    or else the only image and the only class label. So the class of `cifar100` is `label`, and
    `coarse_label` is passed over.

    Args:
        builder: A TensorFlow Datasets builder.
        name: Name of the dataset, to be said in an error.

    Raises:
        ValueError: Where it is no image classification, saying what features it has; where the
            images are not of 8 bits and 1 or 3 channels; where there are fewer than 2 classes.
    """
    import tensorflow_datasets as tfds

    features = builder.info.features
    found = dict(features) if isinstance(features, tfds.features.FeaturesDict) else {}
    # A subclass of Image (a mask, a video) is another thing.
    images = [key for key, each in found.items() if type(each) is tfds.features.Image]
    labels = [key for key, each in found.items() if type(each) is tfds.features.ClassLabel]
    pairs = [("image", "label")]
    if isinstance(builder.info.supervised_keys, tuple) and len(builder.info.supervised_keys) == 2:
        pairs.insert(0, builder.info.supervised_keys)
    if len(images) == len(labels) == 1:
        pairs.append((images[0], labels[0]))
    pair = next((each for each in pairs if each[0] in images and each[1] in labels), None)
    if pair is None:
        has = ", ".join(f"{key} ({type(each).__name__})" for key, each in sorted(found.items()))
        raise ValueError(
            "Argument `dataset` must name an image classification dataset, with an image and a "
            f"class label. Received: dataset={name!r}, which has {has or 'no named features'}"
        )
    image, label = found[pair[0]], found[pair[1]]
    if image.np_dtype != np.uint8 or image.shape[-1] not in (1, 3, None):
        raise ValueError(
            "Argument `dataset` must name a dataset of images of 8 bits and 1 or 3 channels. "
            f"Received: dataset={name!r}, whose images have the shape {image.shape} and the type "
            f"{np.dtype(image.np_dtype).name}"
        )
    if (label.num_classes or 0) < 2:
        raise ValueError(
            "Argument `dataset` must name a dataset of at least 2 classes. "
            f"Received: dataset={name!r}, which has {label.num_classes or 'no known number'}"
        )
    return ClassificationFeatures(*pair, tuple(image.shape), label.num_classes)
