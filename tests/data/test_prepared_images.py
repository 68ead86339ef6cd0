import json
import os
import shutil

import numpy as np
import pytest

from keras_selectscale.data import Augmentation, load
from tests.data import tiny_cifar10

DATA_DIR = os.environ.get("KERAS_SELECTSCALE_CIFAR10_DIR")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A data folder and what it holds."""
    data_dir = tmp_path_factory.mktemp("tfds")
    return data_dir, tiny_cifar10.prepare(data_dir)


@pytest.fixture
def broken(prepared, tmp_path):
    """The version folder in a copy, to be broken."""
    shutil.copytree(prepared[0], tmp_path, dirs_exist_ok=True)
    return tmp_path / "cifar10" / tiny_cifar10.VERSION


def test_reads_what_was_prepared(prepared):
    data_dir, expected = prepared
    data = load("cifar10", data_dir=str(data_dir))
    assert (data.name, data.classes, data.input_shape) == ("cifar10", 10, (32, 32, 3))
    assert data.augmentation == Augmentation(padding=4, flip=True)
    for split, size in (("train", 40), ("test", 20)):
        images, labels = getattr(data, f"{split}_images"), getattr(data, f"{split}_labels")
        order = tiny_cifar10.numbers(images)
        assert sorted(order) == list(range(size))
        assert images.dtype == np.uint8 and labels.dtype == np.int64
        np.testing.assert_array_equal(images, expected[f"{split}_images"][order])
        np.testing.assert_array_equal(labels, expected[f"{split}_labels"][order])
    pixels = expected["train_images"] / 255
    np.testing.assert_allclose(data.mean, pixels.mean((0, 1, 2)))
    np.testing.assert_allclose(data.std, pixels.std((0, 1, 2)))


def test_order_is_the_same_at_each_call(prepared):
    first, second = (load("cifar10", data_dir=prepared[0]) for _ in range(2))
    np.testing.assert_array_equal(first.train_images, second.train_images)
    np.testing.assert_array_equal(first.test_images, second.test_images)


def test_default_folder_is_that_of_tfds(prepared, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(prepared[0]))
    subset = load("cifar10", train_size=20, seed=1)
    np.testing.assert_array_equal(np.bincount(subset.train_labels), [2] * 10)
    assert subset.mean == load("cifar10").mean


@pytest.mark.parametrize("split", ["train", "test"])
def test_missing_files_are_named(broken, split):
    (shard,) = broken.glob(f"cifar10-{split}.tfrecord*")
    shard.unlink()
    with pytest.raises(FileNotFoundError, match=f"{shard} is missing. Remove {broken}") as caught:
        load("cifar10", data_dir=broken.parents[1])
    assert "\n" not in str(caught.value)


def test_truncated_files_are_named(broken):
    (shard,) = broken.glob("cifar10-train.tfrecord*")
    shard.write_bytes(shard.read_bytes()[:-1000])
    with pytest.raises(OSError, match=f"train split in {broken} cannot be read") as caught:
        load("cifar10", data_dir=broken.parents[1])
    assert "\n" not in str(caught.value) and f"Remove {broken}" in str(caught.value)


def test_files_cut_between_two_records_are_noticed(broken):
    (shard,) = broken.glob("cifar10-train.tfrecord*")
    shard.write_bytes(b"")
    with pytest.raises(OSError, match="contain 40 elements but contained only 0 elements"):
        load("cifar10", data_dir=broken.parents[1])


@pytest.mark.parametrize("file", ["dataset_info.json", "features.json"])
def test_unreadable_metadata_is_named(broken, file):
    (broken / file).write_text("{")
    with pytest.raises(OSError, match=f"metadata in {broken} cannot be read") as caught:
        load("cifar10", data_dir=broken.parents[1])
    assert "\n" not in str(caught.value)


def test_a_split_that_is_not_there_is_named(broken):
    info = json.loads((broken / "dataset_info.json").read_text())
    info["splits"] = [split for split in info["splits"] if split["name"] != "test"]
    (broken / "dataset_info.json").write_text(json.dumps(info))
    with pytest.raises(
        FileNotFoundError, match=f"{broken} has no test or validation split; its splits: train$"
    ):
        load("cifar10", data_dir=broken.parents[1])


@pytest.mark.skipif(
    not DATA_DIR, reason="KERAS_SELECTSCALE_CIFAR10_DIR names no folder of the prepared CIFAR-10"
)
def test_the_real_one():
    data = load("cifar10", data_dir=DATA_DIR)
    np.testing.assert_array_equal(np.bincount(data.train_labels), [5000] * 10)
    np.testing.assert_array_equal(np.bincount(data.test_labels), [1000] * 10)
    assert data.input_shape == (32, 32, 3) and data.train_images.dtype == np.uint8
    np.testing.assert_allclose(data.mean, (0.4914, 0.4822, 0.4465), atol=1e-4)
    np.testing.assert_allclose(data.std, (0.2470, 0.2435, 0.2616), atol=1e-4)
