"""scikit-learn's digits, which need no download."""

import numpy as np

from keras_selectscale.data.augmentation import Augmentation
from keras_selectscale.data.image_data import ImageData
from keras_selectscale.data.pixel_statistics import mean_and_std

# What split the images once and for all: a published number holds for this split.
SPLIT_RANDOM_STATE = 2020


def load_digits() -> ImageData:
    """Returns the 1,797 handwritten digits of scikit-learn, split in halves.

    They are real images, 8 by 8, grey, of 17 levels, here spread over 0 to 255 (a level is
    `round(pixel * 16 / 255)`). The split is stratified and fixed: 898 to train on and 899 to test
    with. Many test images make the error fine-grained (one image is 0.11 %), and few training
    images let a network overfit, which is what dropout is against.

    Training images are padded by 1 and cropped, and never mirrored: a mirrored digit is another
    sign.
    """
    from sklearn import datasets, model_selection

    digits = datasets.load_digits()
    images = np.round(digits.images[..., None] * (255 / 16)).astype(np.uint8)
    labels = digits.target.astype(np.int64)
    train_images, test_images, train_labels, test_labels = model_selection.train_test_split(
        images, labels, test_size=0.5, stratify=labels, random_state=SPLIT_RANDOM_STATE
    )
    mean, std = mean_and_std(train_images)
    return ImageData(
        name="digits",
        train_images=train_images,
        train_labels=train_labels,
        test_images=test_images,
        test_labels=test_labels,
        classes=10,
        mean=mean,
        std=std,
        augmentation=Augmentation(padding=1, flip=False),
    )
