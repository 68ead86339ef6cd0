"""The protocol: what callers ask of a dataset without knowing how it is stored."""

import copy
import dataclasses
import inspect

import numpy as np
import pytest

from keras_selectscale import data
from keras_selectscale.data.datasets import SOURCES, comparison_defaults
from tests.data.folders import make


@pytest.fixture(scope="module", params=["in memory", "streamed"])
def whole(request, tmp_path_factory):
    """The same classes and counts, in memory and streamed."""
    sizes = ((8, 9),) if request.param == "in memory" else ((12, 9), (8, 11))
    folder = make(tmp_path_factory.mktemp("images"), sizes)
    return data.load(f"folder:{folder}", image_size=8)


@pytest.fixture(params=["test", "validation"])
def dataset(request, whole):
    if request.param == "test":
        return whole
    return data.validation_split(whole, share=0.4, seed=1)


def test_all_datasets_have_the_same_methods_and_properties(dataset):
    name = dataset.evaluation_split
    assert dataset.splits == ("train", name)
    counts = [dataset.count(split) for split in dataset.splits]
    assert counts == [dataset.train_count, dataset.evaluation_count]
    assert sum(counts) == (16 if name == "test" else 10)
    assert getattr(dataset, f"{name}_count") == counts[1]
    for split, count in zip(dataset.splits, counts, strict=True):
        labels = dataset.labels(split)
        assert labels.dtype == np.int64 and len(labels) == count
        np.testing.assert_array_equal(labels, getattr(dataset, f"{split}_labels"))
        batches = dataset.evaluation_batches(batch_size=4, split=split)
        np.testing.assert_array_equal(np.concatenate([y for _, y in batches]), labels)
    assert dataset.input_shape == (8, 8, 3) and dataset.classes == 2
    assert len(dataset.mean) == len(dataset.std) == 3
    assert len(next(iter(dataset.training_batches(batch_size=4, seed=0)))[1]) == 4
    assert not dataset.with_flip(False).augmentation.flip
    assert dataset.brought_to(16).input_shape == (16, 16, 3)
    assert dataset.brought_to(None) is dataset
    subset = data.training_subset(dataset, train_size=4, seed=0)
    assert (subset.train_count, subset.splits) == (4, dataset.splits)
    assert subset.evaluation_count == dataset.evaluation_count
    if dataset.in_memory:
        images, labels = dataset.arrays("train")
        assert images is dataset.train_images and labels is dataset.train_labels
    else:
        with pytest.raises(TypeError, match="streamed"):
            dataset.arrays("train")


def test_nothing_called_test_holds_validation_images(whole):
    held = data.validation_split(whole, share=0.4, seed=1)
    for copied in (held, dataclasses.replace(held, classes=2), copy.deepcopy(held)):
        assert not [name for name in dir(copied) if name.startswith("test")]
        for name in ("test", "test_images", "test_labels", "test_count"):
            assert not hasattr(copied, name)
            with pytest.raises(AttributeError, match=f"no `{name}`.*held out.*`validation"):
                getattr(copied, name)
    for split in ("test", "x"):
        with pytest.raises(ValueError, match="`split` must be one of 'train', 'validation'"):
            data.evaluation_batches(held, batch_size=4, split=split)
    with pytest.raises(ValueError, match="`split`"):
        held.labels("test")
    with pytest.raises(AttributeError, match="'HoldOut.*no attribute 'other'"):
        _ = held.other


def test_the_evaluation_split_is_the_default(dataset):
    default = data.evaluation_batches(dataset, batch_size=4)
    named = data.evaluation_batches(dataset, batch_size=4, split=dataset.evaluation_split)
    for (x, y), (z, w) in zip(default, named, strict=True):
        np.testing.assert_array_equal(x, z)
        np.testing.assert_array_equal(y, w)


def test_a_split_of_a_split_is_held_out_of_its_training_images(whole):
    once = data.validation_split(whole, share=0.4, seed=1)
    twice = data.validation_split(once, share=0.5, seed=1)
    assert (twice.train_count, twice.validation_count) == (3, 3)


@pytest.mark.parametrize(
    "call",
    [
        lambda value: data.training_batches(value, batch_size=1, seed=0),
        lambda value: data.evaluation_batches(value, batch_size=1),
        lambda value: data.steps_per_epoch(value, 1),
        lambda value: data.training_subset(value, train_size=1, seed=0),
        lambda value: data.validation_split(value, share=0.5, seed=0),
        lambda value: data.pack(value),
    ],
)
@pytest.mark.parametrize("value", ["digits", None, np.zeros(3), [1, 2]])
def test_what_is_not_a_dataset_is_refused(call, value):
    with pytest.raises(TypeError, match="Argument `data` must be a dataset"):
        call(value)


def test_a_source_says_what_others_need_to_know():
    assert comparison_defaults("digits") == {
        "network": "resnet-8",
        "epochs": 20,
        "batch_size": 64,
    }
    for name in ("cifar10", "tfds:mnist", "folder:x"):
        assert comparison_defaults(name) == {
            "network": "resnet-20",
            "epochs": 20,
            "batch_size": 128,
        }
    assert [source.form for source in SOURCES] == list(data.DATASETS)
    for source in SOURCES:
        assert list(inspect.signature(source.read).parameters) == ["request"]
