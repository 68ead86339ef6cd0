import pytest

from keras_selectscale.data import DATASETS, check_name
from keras_selectscale.data.dataset_name import parse_name


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("digits", ("digits", "")),
        ("cifar10", ("tfds", "cifar10")),
        ("cifar100", ("tfds", "cifar100")),
        ("imagenet2012", ("tfds", "imagenet2012")),
        ("tfds:mnist", ("tfds", "mnist")),
        ("tfds:mnist:3.0.1", ("tfds", "mnist:3.0.1")),
        ("tfds:imagenet_resized/32x32", ("tfds", "imagenet_resized/32x32")),
        ("tfds:a_b/c-1.5+x:1.10.0", ("tfds", "a_b/c-1.5+x:1.10.0")),
        ("folder:pictures", ("folder", "pictures")),
        ("folder:/a b/é:ü", ("folder", "/a b/é:ü")),
    ],
)
def test_names_are_taken_apart(name, expected):
    check_name(name)
    assert parse_name(name) == expected


@pytest.mark.parametrize(
    "name",
    [
        *("", "mnist", "CIFAR10", "digits:", "cifar10:3.0.2", "tfds", "tfds:", "tfds:NAME/"),
        *("tfds:../x", "tfds:a/..", "tfds:a/b/c", "tfds:a:1", "tfds:/a", "tfds:a b", "tfds:a\n"),
        *("folder", "folder:", "folder: ", "folder:a\0b", " digits"),
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
        check_name(name)
