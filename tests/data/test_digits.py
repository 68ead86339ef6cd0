import numpy as np
import pytest
from sklearn import datasets

from keras_selectscale.data import Augmentation, load


@pytest.fixture(scope="module")
def digits():
    return load("digits")


def test_halves_of_all_images_are_stratified(digits):
    assert digits.input_shape == (8, 8, 1)
    assert (len(digits.train_labels), len(digits.test_labels)) == (898, 899)
    train, test = (np.bincount(labels) for labels in (digits.train_labels, digits.test_labels))
    assert len(train) == digits.classes == 10
    assert np.abs(train - test).max() <= 1


def test_images_are_those_of_scikit_learn_without_loss(digits):
    pixels = np.concatenate([digits.train_images, digits.test_images])
    labels = np.concatenate([digits.train_labels, digits.test_labels])
    levels = np.round(pixels[..., 0] * (16 / 255)).astype("uint8")
    original = datasets.load_digits()
    assert pixels.dtype == np.uint8 and pixels.max() == 255
    assert sorted(zip(map(bytes, levels), labels, strict=True)) == sorted(
        zip(map(bytes, original.images.astype("uint8")), original.target, strict=True)
    )


def test_split_is_the_recorded_one(digits):
    np.testing.assert_array_equal(digits.train_labels[:12], PINNED)
    np.testing.assert_array_equal(load("digits", seed=9).train_images, digits.train_images)


PINNED = (2, 2, 0, 3, 7, 2, 6, 4, 7, 6, 1, 1)


def test_normalisation_is_measured_on_the_training_half(digits):
    pixels = digits.train_images / 255
    assert digits.mean == pytest.approx([pixels.mean()])
    assert digits.std == pytest.approx([pixels.std()])


def test_digits_are_not_mirrored(digits):
    assert digits.augmentation == Augmentation(padding=1, flip=False)
