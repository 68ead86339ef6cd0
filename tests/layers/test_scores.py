"""The scores against NumPy."""

import numpy as np
import pytest
from keras import ops

from keras_selectscale.layers import scores, selection
from tests.layers import drawing, reference

SHAPES = [(3, 5, 8), (3, 2, 5, 8), (2, 3, 1, 4, 8)]


def normal_maps(shape, data_format):
    values = np.random.default_rng(0).normal(size=shape).astype("float32")
    if data_format == "channels_first":
        return np.moveaxis(values, -1, 1), values, 1
    return values, values, len(shape) - 1


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("score", "expected"),
    [
        (selection.max_score, reference.max_score),
        (scores.global_average_score, reference.global_average_score),
    ],
)
def test_scores_are_those_of_numpy(score, expected, shape, data_format):
    inputs, maps, axis = normal_maps(shape, data_format)
    found = drawing.as_array(score(ops.convert_to_tensor(inputs), axis))
    np.testing.assert_allclose(found, expected(maps), rtol=1e-5)


def test_a_large_negative_value_counts():
    inputs = ops.convert_to_tensor([[[-5.0, 1.0], [0.0, 2.0]]])
    np.testing.assert_array_equal(drawing.as_array(selection.max_score(inputs, 2)), [[5, 2]])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_the_average_of_many_halves_neither_overflows_nor_saturates(dtype):
    """A sum of 65,536 times 2 is beyond float16, and stops at 512 in bfloat16."""
    inputs = ops.full((1, 256, 256, 2), 2.0, dtype=dtype)
    found = drawing.as_array(scores.global_average_score(inputs, 3))
    np.testing.assert_allclose(found, [[2, 2]], rtol=1e-3)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_the_maximum_is_exact(dtype):
    inputs = drawing.maps((3, 4, 5, 20), dtype=dtype)
    found = drawing.as_array(selection.max_score(inputs, 3))
    np.testing.assert_array_equal(found, reference.max_score(drawing.as_array(inputs)))


@pytest.mark.parametrize("score", [selection.max_score, scores.global_average_score])
def test_a_sample_that_is_not_finite_stays_by_itself(score):
    inputs = np.ones((3, 4, 5), "float32")
    inputs[1, 2, 3] = np.nan
    inputs[1, 0, 0] = np.inf
    found = drawing.as_array(score(ops.convert_to_tensor(inputs), 2))
    np.testing.assert_allclose(found[[0, 2]], 1, rtol=1e-6)


def test_the_lowest_score_selects_a_map_that_is_not_finite_last():
    inputs = np.array([[[np.nan, 0.5, -np.inf, -2.0]]], "float32")
    found = drawing.as_array(scores.lowest_score(ops.convert_to_tensor(inputs), 2))
    np.testing.assert_array_equal(found, [[-np.inf, -0.5, -np.inf, -2.0]])
