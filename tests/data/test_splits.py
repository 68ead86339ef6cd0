import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_selectscale import data
from keras_selectscale.data.splits import (
    class_sizes,
    stratified_indices,
    training_subset,
    validation_split,
)
from tests.data.made_up import image_data


@st.composite
def counts_and_size(draw, smallest=1):
    counts = draw(st.lists(st.integers(smallest, 60), min_size=2, max_size=12))
    return np.array(counts), draw(st.integers(len(counts), sum(counts)))


@given(counts_and_size())
def test_sizes_are_possible_and_leave_no_class_empty(case):
    counts, size = case
    sizes = class_sizes(counts, size)
    assert sizes.sum() == size
    assert (1 <= sizes).all() and (sizes <= counts).all()


@given(counts_and_size())
def test_sizes_are_within_one_of_the_share_unless_rare_classes_take_more(case):
    counts, size = case
    share = counts * size / counts.sum()
    far = np.abs(class_sizes(counts, size) - share) > 1 + 1e-9
    # Only what was above its share by nothing but rounding can have given to a rare class.
    assert not far.any() or (share < 1).any()
    assert not far[share < 1].any()


@pytest.mark.parametrize(
    ("counts", "size", "expected"),
    [
        ((50, 50), 7, (4, 3)),
        ((10, 20, 30), 6, (1, 2, 3)),
        ((10, 20, 31), 7, (1, 2, 4)),
        ((1, 1, 98), 10, (1, 1, 8)),
        ((1, 1, 28), 3, (1, 1, 1)),
        ((5, 3), 8, (5, 3)),
    ],
)
def test_sizes_of_some_classes(counts, size, expected):
    np.testing.assert_array_equal(class_sizes(np.array(counts), size), expected)


@given(counts_and_size(), st.integers(0, 2**63 - 1))
def test_indices_are_distinct_ascending_and_stratified(case, seed):
    counts, size = case
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))
    indices = stratified_indices(labels, size, len(counts), seed)
    assert (np.diff(indices) > 0).all()
    np.testing.assert_array_equal(np.bincount(labels[indices]), class_sizes(counts, size))


def test_the_seed_chooses():
    labels = np.arange(200) % 10
    chosen = [tuple(stratified_indices(labels, 50, 10, seed)) for seed in range(5)]
    assert len(set(chosen)) == 5
    assert chosen[3] == tuple(stratified_indices(labels, 50, 10, 3))


def test_the_choice_stays_with_every_version_of_numpy():
    indices = stratified_indices(np.arange(20) % 2, 6, 2, seed=5)
    np.testing.assert_array_equal(indices, PINNED)


PINNED = (4, 7, 8, 11, 16, 19)


def test_every_image_is_as_likely():
    """Chi-square over 40 images: a right draw fails for one seed in a million."""
    labels = np.arange(40) % 4
    draws = 1000
    drawn = np.bincount(
        np.concatenate([stratified_indices(labels, 12, 4, seed) for seed in range(draws)])
    )
    share = 12 / 40
    # Each class has a fixed number of draws, so its 10 counts have 9 degrees of freedom and the
    # variance of drawing without replacement.
    statistic = np.square(drawn - draws * share).sum() / (draws * share * (1 - share)) * 9 / 10
    assert statistic < 99.0  # The 1 - 1e-6 quantile for 36 degrees of freedom is 98.9.


def test_subset_keeps_all_but_the_training_images():
    data = dataclasses.replace(
        image_data(), train_labels=np.arange(23) % 3, test_labels=np.arange(23) % 3, classes=3
    )
    subset = training_subset(data, train_size=9, seed=2)
    np.testing.assert_array_equal(np.bincount(subset.train_labels), (3, 3, 3))
    kept = [
        (image.tobytes(), label)
        for image, label in zip(subset.train_images, subset.train_labels, strict=True)
    ]
    everything = [
        (image.tobytes(), label)
        for image, label in zip(data.train_images, data.train_labels, strict=True)
    ]
    assert set(kept) < set(everything) and len(set(kept)) == 9
    assert subset.test_images is data.test_images
    assert (subset.mean, subset.std, subset.augmentation) == (
        data.mean,
        data.std,
        data.augmentation,
    )


@pytest.mark.parametrize(
    ("arguments", "error", "named"),
    [
        ({"train_size": 22}, ValueError, "`train_size` must be from 23 .* to 23 .*train_size=22"),
        ({"train_size": 24}, ValueError, "`train_size`.*24"),
        ({"train_size": 0}, ValueError, "`train_size`.*0"),
        ({"train_size": 23.0}, TypeError, "`train_size`.*23.0"),
        ({"train_size": True}, TypeError, "`train_size`.*True"),
        ({"seed": -1}, ValueError, "`seed`.*-1"),
        ({"seed": "1"}, TypeError, "`seed`.*'1'"),
    ],
)
def test_refuses_bad_values(arguments, error, named):
    with pytest.raises(error, match=named):
        training_subset(image_data(), **{"train_size": 23, "seed": 0, **arguments})


def test_refuses_an_empty_class():
    labels = np.array([0] * 22 + [2])
    with pytest.raises(ValueError, match="class 1 is empty"):
        data = dataclasses.replace(image_data(), train_labels=labels)
        training_subset(data, train_size=23, seed=0)


def made_up(images=23, classes=3):
    labels = np.arange(images) % classes
    return dataclasses.replace(
        image_data(images), train_labels=labels, test_labels=labels, classes=classes
    )


def pixels(images):
    return {image.tobytes() for image in images}


def test_what_is_held_out_comes_from_the_training_images_alone():
    whole = made_up()
    split = validation_split(whole, share=0.4, seed=3)
    assert (split.train_count, split.validation_count) == (14, 9)
    seen = pixels(split.train_images) | pixels(split.validation_images)
    assert seen == pixels(whole.train_images)
    assert not pixels(split.train_images) & pixels(split.validation_images)
    assert not pixels(split.validation_images) & pixels(whole.test_images)
    label_of = {
        image.tobytes(): label
        for image, label in zip(whole.train_images, whole.train_labels, strict=True)
    }
    for images, labels in (
        (split.train_images, split.train_labels),
        (split.validation_images, split.validation_labels),
    ):
        assert [label_of[image.tobytes()] for image in images] == labels.tolist()
    np.testing.assert_array_equal(np.bincount(split.validation_labels), (3, 3, 3))
    assert (split.mean, split.std, split.augmentation, split.name) == (
        whole.mean,
        whole.std,
        whole.augmentation,
        whole.name,
    )


def test_the_digits_are_split_in_proportion():
    whole = data.load("digits")
    split = validation_split(whole, share=0.2, seed=0)
    assert (split.train_count, split.validation_count) == (718, 180)
    shares = np.bincount(split.validation_labels) / np.bincount(whole.train_labels)
    assert (abs(shares - 0.2) < 0.012).all()


def test_the_seed_chooses_what_is_held_out():
    splits = [validation_split(made_up(), share=0.4, seed=seed) for seed in (0, 0, 1)]
    first, again, other = (pixels(split.validation_images) for split in splits)
    assert first == again != other


@pytest.mark.parametrize("share", [0.0001, 0.5, 0.9999])
def test_each_class_is_on_both_sides(share):
    labels = np.array([0] * 2 + [1] * 2 + [2] * 20)
    whole = dataclasses.replace(made_up(24), train_labels=labels)
    split = validation_split(whole, share=share, seed=1)
    for side in (split.train_labels, split.validation_labels):
        assert (np.bincount(side, minlength=3) >= 1).all()
    assert split.train_count + split.validation_count == 24


def test_streamed_images_are_split_too():
    class Encoded:
        def __init__(self, numbers):
            self.numbers = np.asarray(numbers)

        def __len__(self):
            return len(self.numbers)

        @property
        def labels(self):
            return self.numbers % 2

        def subset(self, chosen):
            return Encoded(self.numbers[chosen])

    whole = data.StreamedImages("made-up", Encoded(range(20)), Encoded(range(50, 60)), 2, 8)
    split = validation_split(whole, share=0.3, seed=0)
    assert len(split.validation) == 6
    assert sorted([*split.train.numbers, *split.validation.numbers]) == [*range(20)]


@pytest.mark.parametrize(
    "arguments, error, named",
    [
        ({"share": 0.0}, ValueError, r"`share` must be in \(0, 1\).*0.0"),
        ({"share": 1}, ValueError, "`share`.*1"),
        ({"share": float("nan")}, ValueError, "`share`.*nan"),
        ({"share": "0.5"}, TypeError, "`share`.*'0.5'"),
        ({"share": True}, TypeError, "`share`.*True"),
        ({"seed": -1}, ValueError, "`seed`.*-1"),
    ],
)
def test_a_validation_split_refuses_bad_values(arguments, error, named):
    with pytest.raises(error, match=named):
        validation_split(made_up(), **{"share": 0.2, "seed": 0, **arguments})


def test_refuses_a_class_of_one():
    with pytest.raises(ValueError, match="two training images of each class.*1 of class 0"):
        validation_split(image_data(), share=0.2, seed=0)
