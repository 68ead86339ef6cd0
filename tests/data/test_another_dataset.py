"""One dataset twice: prepared by TensorFlow Datasets, and as a folder of images."""

import numpy as np
import pytest
import tensorflow_datasets as tfds

from keras_selectscale.data import (
    ImageData,
    StreamedImages,
    evaluation_batches,
    load,
    training_batches,
)
from tests.data.builders import from_folder, image_features, prepare
from tests.data.folders import encode, make, write


def assert_same_batches(one, other):
    for first, second in (
        (
            training_batches(one, batch_size=32, seed=4).take(40),
            training_batches(other, batch_size=32, seed=4).take(40),
        ),
        (evaluation_batches(one, batch_size=32), evaluation_batches(other, batch_size=32)),
    ):
        for (x, y), (z, w) in zip(first, second, strict=True):
            np.testing.assert_array_equal(x.numpy().view("int32"), z.numpy().view("int32"))
            np.testing.assert_array_equal(y, w)


@pytest.fixture(scope="module")
def digits_twice(tmp_path_factory):
    """Real images: scikit-learn's digits as a folder of PNG and as a prepared dataset."""
    folder = tmp_path_factory.mktemp("digits")
    digits = load("digits")
    for split in ("train", "test"):
        images, labels = getattr(digits, f"{split}_images"), getattr(digits, f"{split}_labels")
        for number, (image, label) in enumerate(zip(images, labels, strict=True)):
            write(folder / split / str(label) / f"{number:04d}.png", encode(image))
    features = image_features(8, 8, channels=1)
    features["label"] = tfds.features.ClassLabel(names=[str(label) for label in range(10)])
    data_dir = tmp_path_factory.mktemp("tfds")
    prepare(data_dir, "written_digits", features, from_folder(folder))
    return data_dir, folder, digits


def test_real_images_in_memory_give_the_same_batches(digits_twice):
    data_dir, folder, digits = digits_twice
    prepared = load("tfds:written_digits", data_dir=data_dir)
    files = load(f"folder:{folder}")
    for data in (prepared, files):
        assert isinstance(data, ImageData)
        assert (data.train_count, data.test_count, data.classes) == (898, 899, 10)
        assert data.augmentation == digits.augmentation
        np.testing.assert_allclose((data.mean, data.std), (digits.mean, digits.std))
        order = np.argsort(digits.train_labels, kind="stable")
        np.testing.assert_array_equal(data.train_images, digits.train_images[order])
        np.testing.assert_array_equal(data.train_labels, digits.train_labels[order])
    assert_same_batches(prepared, files)


def test_real_images_in_a_subset_at_another_size_too(digits_twice):
    data_dir, folder, _ = digits_twice
    arguments = {"train_size": 100, "seed": 3, "image_size": 12, "data_dir": data_dir}
    assert_same_batches(*(load(name, **arguments) for name in (
        "tfds:written_digits:1.0.0", f"folder:{folder}",
    )))  # fmt: skip


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_streamed_images_give_the_same_batches(tmp_path, form):
    sizes = ((40, 60), (75, 50), (31, 33))
    folder = make(tmp_path / "images", sizes, form=form, train=8, test=5)
    features = image_features(encoding_format=form.lower())
    prepare(tmp_path, "varying", features, from_folder(folder))
    one, other = (
        load(name, data_dir=tmp_path, image_size=24, train_size=12)
        for name in ("tfds:varying", f"folder:{folder}")
    )
    assert isinstance(one, StreamedImages) and isinstance(other, StreamedImages)
    np.testing.assert_array_equal(one.train_labels, other.train_labels)
    assert_same_batches(one, other)
