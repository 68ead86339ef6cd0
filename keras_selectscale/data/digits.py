"""The digits of scikit-learn, which need no download."""

import numpy as np

from keras_selectscale.data.arrays import mean_and_std
from keras_selectscale.data.augmentation import Augmentation
from keras_selectscale.data.dataset import Request, Source
from keras_selectscale.data.image_data import ImageData
from keras_selectscale.environment import require

# Fixes the split for good: published numbers hold for this split.
SPLIT_RANDOM_STATE = 2020


def load_digits(request: Request) -> ImageData:
    """Returns the 1,797 handwritten digits of scikit-learn, split into halves.

    They are real grey images of 8 by 8 pixels with 17 levels, here spread over 0 to 255 (a level is
    `round(pixel * 16 / 255)`). The split is stratified and fixed: 898 images to train on and 899 to
    test on. Many test images make the error fine-grained (one image is 0.11 %), and with few
    training images a network overfits, which dropout is meant to prevent.

    Training images are padded by 1 and cropped, and never mirrored: a mirrored digit is a different
    sign.
    """
    require("sklearn", "data", "The dataset digits")
    from sklearn import datasets, model_selection

    digits = datasets.load_digits()
    images = np.round(digits.images[..., None] * (255 / 16)).astype(np.uint8)
    labels = digits.target.astype(np.int64)
    train_images, test_images, train_labels, test_labels = model_selection.train_test_split(
        images, labels, test_size=0.5, stratify=labels, random_state=SPLIT_RANDOM_STATE
    )
    mean, std = mean_and_std(train_images)
    return ImageData(
        name=request.name,
        train_images=train_images,
        train_labels=train_labels,
        test_images=test_images,
        test_labels=test_labels,
        classes=10,
        mean=mean,
        std=std,
        augmentation=Augmentation(padding=1, flip=False),
    )


DIGITS = Source(
    "digits",
    "1,797 grey images of 8x8, 10 classes; in scikit-learn, no download",
    load_digits,
    place="digits",
    network="resnet-8",
    batch_size=64,
)
