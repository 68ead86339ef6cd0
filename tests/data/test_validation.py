import dataclasses

import numpy as np
import pytest

from keras_selectscale import data
from keras_selectscale.data.validation import validation_split
from tests.data.made_up import image_data


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
    assert (split.train_count, split.test_count) == (14, 9)
    assert pixels(split.train_images) | pixels(split.test_images) == pixels(whole.train_images)
    assert not pixels(split.train_images) & pixels(split.test_images)
    assert not pixels(split.test_images) & pixels(whole.test_images)
    label_of = {
        image.tobytes(): label
        for image, label in zip(whole.train_images, whole.train_labels, strict=True)
    }
    for images, labels in (
        (split.train_images, split.train_labels),
        (split.test_images, split.test_labels),
    ):
        assert [label_of[image.tobytes()] for image in images] == labels.tolist()
    np.testing.assert_array_equal(np.bincount(split.test_labels), (3, 3, 3))
    assert (split.mean, split.std, split.augmentation, split.name) == (
        whole.mean,
        whole.std,
        whole.augmentation,
        whole.name,
    )


def test_the_digits_are_split_in_proportion():
    whole = data.load("digits")
    split = validation_split(whole, share=0.2, seed=0)
    assert (split.train_count, split.test_count) == (718, 180)
    shares = np.bincount(split.test_labels) / np.bincount(whole.train_labels)
    assert (abs(shares - 0.2) < 0.012).all()


def test_the_seed_chooses():
    splits = [validation_split(made_up(), share=0.4, seed=seed) for seed in (0, 0, 1)]
    first, again, other = (pixels(split.test_images) for split in splits)
    assert first == again != other


@pytest.mark.parametrize("share", [0.0001, 0.5, 0.9999])
def test_each_class_is_on_both_sides(share):
    labels = np.array([0] * 2 + [1] * 2 + [2] * 20)
    whole = dataclasses.replace(made_up(24), train_labels=labels)
    split = validation_split(whole, share=share, seed=1)
    for side in (split.train_labels, split.test_labels):
        assert (np.bincount(side, minlength=3) >= 1).all()
    assert split.train_count + split.test_count == 24


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
    assert len(split.test) == 6 and sorted([*split.train.numbers, *split.test.numbers]) == [
        *range(20)
    ]


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
def test_refuses_bad_values(arguments, error, named):
    with pytest.raises(error, match=named):
        validation_split(made_up(), **{"share": 0.2, "seed": 0, **arguments})


def test_refuses_a_class_of_one():
    with pytest.raises(ValueError, match="two training images of each class.*1 of class 0"):
        validation_split(image_data(), share=0.2, seed=0)
