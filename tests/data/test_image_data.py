import dataclasses

import numpy as np
import pytest

from tests.data.made_up import image_data


def test_input_shape():
    assert image_data(shape=(6, 5, 2)).input_shape == (6, 5, 2)


def test_is_frozen_and_compared_by_identity():
    data = image_data()
    with pytest.raises(dataclasses.FrozenInstanceError):
        data.classes = 3
    assert data == data
    assert data != image_data()


@pytest.mark.parametrize(
    ("field", "value", "error", "named"),
    [
        ("train_images", np.zeros((23, 6, 5), "uint8"), ValueError, r"train_images.*\(23, 6, 5\)"),
        ("train_images", np.zeros((0, 6, 5, 2), "uint8"), ValueError, "train_images"),
        ("train_images", np.zeros((23, 6, 5, 2), "int32"), TypeError, "train_images.*int32"),
        ("test_images", np.zeros((23, 6, 6, 2), "uint8"), ValueError, r"test_images.*\(6, 5, 2\)"),
        ("train_labels", np.arange(22), ValueError, r"train_labels.*\(22,\)"),
        ("train_labels", np.arange(23, dtype="int32"), TypeError, "train_labels.*int32"),
        ("train_labels", np.arange(1, 24), ValueError, "train_labels.*0 to 22.*23 at index 22"),
        ("test_labels", np.arange(-1, 22), ValueError, "test_labels.*-1 at index 0"),
        ("classes", 1, ValueError, "classes.*1"),
        ("classes", 23.0, TypeError, "classes.*23.0"),
        ("class_names", ("cat",), ValueError, "class_names.* a name for each of 23 classes"),
        ("class_names", (1,) * 23, TypeError, "class_names.* a string"),
        ("mean", (0.5,), ValueError, "mean.*2 channels"),
        ("mean", (0.5, float("nan")), ValueError, "mean.*nan"),
        ("std", (0.2, 0.0), ValueError, "std.*above 0.*0.0"),
    ],
)
def test_refuses_what_does_not_fit(field, value, error, named):
    with pytest.raises(error, match=named):
        dataclasses.replace(image_data(), **{field: value})
