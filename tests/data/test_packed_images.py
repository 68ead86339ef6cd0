import dataclasses
import sys

import numpy as np
import pytest

from keras_selectscale import data
from keras_selectscale.data import packed_images
from tests.data.folders import make

NAMES = tuple("zero one two three four five six seven eight nine".split())


@pytest.fixture
def images():
    """The digits under the name of a dataset of TensorFlow Datasets."""
    digits = data.load("digits", train_size=100)
    assert digits.class_names == ()
    return dataclasses.replace(digits, name="cifar10", class_names=NAMES)


def test_what_was_packed_is_loaded_to_the_bit(tmp_path, images, monkeypatch):
    monkeypatch.setattr(packed_images, "LARGEST_PART", 3000)
    parts = data.pack(images, tmp_path)
    # 100 images of 64 bytes make 3 parts of at most 3,000; 899 make 20.
    assert [part.name for part in parts] == [f"part-{number:03d}.npz" for number in range(23)]
    loaded = data.load("cifar10", data_dir=str(tmp_path))
    for field in ("train_images", "train_labels", "test_images", "test_labels"):
        ours, theirs = getattr(loaded, field), getattr(images, field)
        assert ours.dtype == theirs.dtype and np.array_equal(ours, theirs)
    assert (loaded.name, loaded.classes) == ("cifar10", 10)
    assert loaded.class_names == NAMES
    assert not [path for path in (tmp_path / "packed").iterdir() if path.name.startswith(".")]


def test_the_name_of_another_builder_becomes_a_folder(tmp_path, images):
    other = dataclasses.replace(images, name="tfds:some/config:1.0.0")
    (first, second) = data.pack(other, tmp_path)
    assert first.parent == second.parent == tmp_path / "packed" / "some-config-1.0.0"
    assert data.load("tfds:some/config:1.0.0", data_dir=str(tmp_path)).test_count == 899


def test_a_packed_dataset_is_not_written_over(tmp_path, images):
    data.pack(images, tmp_path)
    with pytest.raises(FileExistsError, match="cifar10 exists: remove it"):
        data.pack(images, tmp_path)


def test_what_is_not_in_memory_or_no_uint8_is_refused(tmp_path, images):
    floats = dataclasses.replace(images, train_images=images.train_images.astype("float32"))
    for wrong in (floats, "cifar10"):
        with pytest.raises(TypeError, match="uint8 images in memory"):
            data.pack(wrong, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_part_is_said(tmp_path, images):
    data.pack(images, tmp_path)[0].unlink()
    with pytest.raises(OSError, match="packed dataset|1 of the 2 parts"):
        data.load("cifar10", data_dir=str(tmp_path))


def test_a_missing_part_of_a_split_is_counted(tmp_path, images, monkeypatch):
    monkeypatch.setattr(packed_images, "LARGEST_PART", 3000)
    data.pack(images, tmp_path)[1].unlink()
    with pytest.raises(OSError, match="holds 22 of the 23 parts of cifar10"):
        data.load("cifar10", data_dir=str(tmp_path))


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 half"])
def test_a_damaged_part_is_named(tmp_path, images, content):
    part = data.pack(images, tmp_path)[0]
    part.write_bytes(content)
    with pytest.raises(OSError, match=r"part-000.npz is damaged: .*pack the dataset again"):
        data.load("cifar10", data_dir=str(tmp_path))


def test_a_packed_dataset_is_loaded_by_its_own_name_and_by_packed(tmp_path, images, monkeypatch):
    digits = data.load("digits", train_size=100, flip=True)
    data.pack(digits, tmp_path)
    data.pack(dataclasses.replace(images, name="folder:x/y"), tmp_path, name="flowers")
    monkeypatch.setitem(sys.modules, "sklearn", None)
    for name in ("digits", "packed:digits"):
        loaded = data.load(name, data_dir=tmp_path)
        assert (loaded.name, loaded.augmentation) == (name, digits.augmentation)
        assert (loaded.mean, loaded.std) == (digits.mean, digits.std)
    assert data.load("packed:flowers", data_dir=tmp_path).train_count == 100
    with pytest.raises(FileNotFoundError, match="no packed dataset .*packed/other"):
        data.load("packed:other", data_dir=tmp_path)


def test_a_folder_that_is_missing_is_replaced_by_its_packed_copy(tmp_path, images):
    data.pack(dataclasses.replace(images, name="folder:gone/a"), tmp_path)
    assert data.load("folder:gone/a", data_dir=tmp_path).test_count == 899
    # It becomes the same folder, but is another dataset.
    with pytest.raises(FileNotFoundError, match="there is no folder gone-a of images"):
        data.load("folder:gone-a", data_dir=tmp_path)


def test_a_packed_folder_is_loaded_by_name_after_it_moved(tmp_path):
    folder = make(tmp_path / "images", ((6, 7),), train=4, test=2)
    images = data.load(f"folder:{folder}")
    (first, *_) = data.pack(images, tmp_path)
    folder.rename(tmp_path / "moved")
    for name in (f"folder:{folder}", f"packed:{first.parent.name}"):
        loaded = data.load(name, data_dir=tmp_path)
        np.testing.assert_array_equal(loaded.train_images, images.train_images)
        np.testing.assert_array_equal(loaded.test_labels, images.test_labels)
