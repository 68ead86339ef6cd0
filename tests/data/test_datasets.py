import subprocess
import sys

import numpy as np
import pytest

from keras_selectscale.data import DATASETS, check_name, load, training_subset
from keras_selectscale.data.datasets import find_source


def test_datasets_are_named_and_described():
    assert list(DATASETS) == [
        "digits",
        "cifar10",
        "cifar100",
        "imagenet2012",
        "tfds:NAME",
        "folder:PATH",
        "packed:NAME",
        "subset:N:DATASET",
    ]
    assert all(text and "\n" not in text for text in DATASETS.values())
    with pytest.raises(TypeError):
        DATASETS["other"] = ""


def test_unknown_name_is_refused():
    with pytest.raises(ValueError, match="`dataset` must be one of digits, cifar10.*'mnist'"):
        load("mnist")


def test_train_size_gives_the_subset_of_the_seed():
    whole, subset = load("digits"), load("digits", train_size=100, seed=4)
    expected = training_subset(whole, train_size=100, seed=4)
    np.testing.assert_array_equal(subset.train_images, expected.train_images)
    np.testing.assert_array_equal(subset.train_labels, expected.train_labels)
    other = load("digits", train_size=100, seed=5)
    assert not np.array_equal(subset.train_images, other.train_images)
    assert subset.mean == whole.mean and len(subset.test_labels) == 899


@pytest.mark.parametrize(
    ("arguments", "error", "named"),
    [
        ({"train_size": 9}, ValueError, "`train_size` must be from 10 .* to 898 .*train_size=9"),
        ({"train_size": 899}, ValueError, "`train_size`.*899"),
        ({"train_size": 100.0}, TypeError, "`train_size`.*100.0"),
        ({"seed": -1}, ValueError, "`seed`.*-1"),
        ({"seed": None}, TypeError, "`seed`.*None"),
    ],
)
def test_refuses_bad_values(arguments, error, named):
    with pytest.raises(error, match=named):
        load("digits", **arguments)


def test_bad_values_are_refused_before_anything_is_read(tmp_path):
    with pytest.raises(TypeError, match="`train_size`"):
        load("cifar10", data_dir=str(tmp_path), train_size="5000")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("digits", ("digits", "digits")),
        ("cifar10", ("cifar10", "cifar10")),
        ("cifar100", ("cifar100", "cifar100")),
        ("imagenet2012", ("imagenet2012", "imagenet2012")),
        ("tfds:mnist", ("tfds:NAME", "mnist")),
        ("tfds:mnist:3.0.1", ("tfds:NAME", "mnist:3.0.1")),
        ("tfds:imagenet_resized/32x32", ("tfds:NAME", "imagenet_resized/32x32")),
        ("tfds:a_b/c-1.5+x:1.10.0", ("tfds:NAME", "a_b/c-1.5+x:1.10.0")),
        ("folder:pictures", ("folder:PATH", "pictures")),
        ("folder:/a b/é:ü", ("folder:PATH", "/a b/é:ü")),
        ("packed:flowers-1.0", ("packed:NAME", "flowers-1.0")),
        ("subset:5000:cifar10", ("subset:N:DATASET", "5000:cifar10")),
        ("subset:20:folder:a:b", ("subset:N:DATASET", "20:folder:a:b")),
    ],
)
def test_names_are_taken_apart(name, expected):
    check_name(name)
    source, place = find_source(name)
    assert (source.form, place) == expected


@pytest.mark.parametrize(
    "name",
    [
        *("", "mnist", "CIFAR10", "digits:", "cifar10:3.0.2", "tfds", "tfds:", "tfds:NAME/"),
        *("tfds:../x", "tfds:a/..", "tfds:a/b/c", "tfds:a:1", "tfds:/a", "tfds:a b", "tfds:a\n"),
        *("folder", "folder:", "folder: ", "folder:a\0b", " digits"),
        *("packed", "packed:", "packed:..", "packed:a/b", "packed:-a", "cifar10:"),
    ],
)
def test_other_names_are_refused(name):
    with pytest.raises(ValueError, match="^Argument `dataset` must be one of digits,") as caught:
        check_name(name)
    assert f"dataset={name!r}" in str(caught.value)


def test_what_is_no_string_is_refused():
    with pytest.raises(TypeError, match="`dataset` must be a string.*None"):
        check_name(None)


def test_fixed_names_pass():
    for name in DATASETS:
        if ":" not in name:
            check_name(name)


# The package around is left out: it imports Keras, and with it the backend.
WITHOUT_THE_PACKAGE = """
import pathlib, sys, types
package = types.ModuleType("keras_selectscale")
package.__path__ = [sys.argv[1]]
sys.modules["keras_selectscale"] = package
def none_of(*names):
    assert not (found := set(names) & set(sys.modules)), found
from keras_selectscale import data
none_of("tensorflow", "tensorflow_datasets", "sklearn", "keras", "jax", "torch")
try:
    data.load("cifar10", data_dir=sys.argv[2])
except FileNotFoundError as error:
    print(error)
none_of("tensorflow", "tensorflow_datasets", "sklearn", "keras", "jax", "torch")
digits = data.load("digits", train_size=100)
assert data.steps_per_epoch(digits, 32) == 4
none_of("tensorflow", "tensorflow_datasets", "keras", "jax", "torch")
"""


def test_needs_tensorflow_only_to_read_prepared_files_and_to_make_batches(tmp_path):
    import keras_selectscale

    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_THE_PACKAGE, keras_selectscale.__path__[0], tmp_path],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Dataset cifar10 is not prepared: ")
    assert done.stdout.count("\n") == 1


def test_a_fixed_subset_is_the_same_for_every_seed():
    whole, expected = load("digits"), load("digits", train_size=100, seed=0)
    for seed in (0, 5):
        subset = load("subset:100:digits", seed=seed)
        np.testing.assert_array_equal(subset.train_images, expected.train_images)
        np.testing.assert_array_equal(subset.test_images, whole.test_images)
        assert (subset.name, subset.mean) == ("subset:100:digits", whole.mean)
        assert np.bincount(subset.train_labels).tolist() == [10] * 10
    assert load("subset:100:digits", train_size=50, seed=5).train_count == 50


@pytest.mark.parametrize(
    "name",
    ["subset:0:digits", "subset:٣:digits", "subset:9:", "subset:9:x", "subset:9:subset:9:digits"]
    + ["subset:digits", "subset:-9:digits", "subset:9999999999:digits"],
)
def test_the_name_of_a_fixed_subset_has_one_size_and_one_dataset(name):
    with pytest.raises(ValueError, match="`dataset` must be one of .*subset:N:DATASET"):
        check_name(name)


def test_a_fixed_subset_larger_than_its_dataset_is_an_error():
    with pytest.raises(ValueError, match="`dataset` must be .*to 898.*subset:899:digits"):
        load("subset:899:digits")
