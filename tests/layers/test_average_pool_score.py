"""AveragePoolScore against NumPy."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_selectscale import SelectScale
from keras_selectscale.layers import AveragePoolScore
from tests.layers import drawing, reference


@pytest.mark.parametrize(
    "shape", [(2, 9, 6), (2, 7, 5, 6), (2, 4, 5, 3, 6), (2, 1, 8, 6), (1, 1, 1)]
)
@pytest.mark.parametrize(("window", "strides"), [(3, 1), (2, 2), (5, 3), (1, 1)])
def test_scores_are_those_of_numpy(shape, window, strides, data_format):
    maps = np.random.default_rng(0).normal(size=shape).astype("float32")
    inputs = np.moveaxis(maps, -1, 1) if data_format == "channels_first" else maps
    axis = 1 if data_format == "channels_first" else len(shape) - 1
    score = AveragePoolScore(window, strides)
    found = drawing.as_array(score(ops.convert_to_tensor(inputs.copy()), axis))
    np.testing.assert_allclose(
        found, reference.average_pool_score(maps, window, strides), rtol=1e-5
    )


def test_a_window_of_one_is_the_maximum():
    inputs = drawing.maps((2, 5, 4, 6))
    np.testing.assert_array_equal(
        drawing.as_array(AveragePoolScore(1)(inputs, 3)),
        reference.max_score(drawing.as_array(inputs)),
    )


@pytest.mark.skipif(drawing.BACKEND != "tensorflow", reason="sizes are known on other backends")
@pytest.mark.parametrize("sizes", [(2, 5), (1, 1), (3, 3), (7, 2)])
@pytest.mark.parametrize("unknown", [(None, None), (None, "known"), ("known", None)])
def test_sizes_unknown_until_the_run_change_nothing(sizes, unknown):
    import tensorflow as tf

    maps = np.random.default_rng(0).normal(size=(2, *sizes, 4)).astype("float32")
    known = [None if name is None else size for name, size in zip(unknown, sizes, strict=True)]
    score = AveragePoolScore()
    traced = tf.function(
        lambda inputs: score(inputs, 3), input_signature=[tf.TensorSpec((None, *known, 4))]
    )
    np.testing.assert_allclose(
        traced(maps), reference.average_pool_score(maps, window=3, strides=1), rtol=1e-5
    )


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_halves_are_summed_in_float32(dtype):
    inputs = ops.full((1, 8, 8, 2), 30000.0, dtype=dtype)
    found = AveragePoolScore(8)(inputs, 3)
    assert keras.backend.standardize_dtype(found.dtype) == "float32"
    np.testing.assert_allclose(drawing.as_array(found), 30000, rtol=1e-2)


@pytest.mark.parametrize(
    ("score", "first"), [("max", 0), ("average_pool", 1), (AveragePoolScore(window=2), 0)]
)
def test_it_selects_the_broad_rather_than_the_high(score, first):
    inputs = np.ones((1, 5, 5, 2), "float32")
    inputs[0, :, :, 0] = 0
    inputs[0, 2, 2, 0] = 5
    inputs = ops.convert_to_tensor(inputs)
    layer = SelectScale(top_rate=0.5, retaining_rate=0.0, score=score)
    layer.build(inputs.shape)
    _, gradient = drawing.outputs_and_gradient(lambda x: layer(x, training=True), inputs)
    scaled = drawing.as_array(gradient)[0, 0, 0] != 1
    np.testing.assert_array_equal(scaled, [first == 0, first == 1])


def test_config_and_keras_serialisation():
    score = AveragePoolScore(window=np.int64(5), strides=2)
    assert score.get_config() == {"window": 5, "strides": 2}
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(score))
    assert isinstance(again, AveragePoolScore)
    assert again.get_config() == score.get_config()


@pytest.mark.parametrize("value", [0, -1, 1.5, True, None, "3"])
@pytest.mark.parametrize("argument", ["window", "strides"])
def test_anything_but_a_positive_integer_is_an_error(argument, value):
    with pytest.raises(ValueError, match=f"`{argument}` must be a positive integer.*{value!r}"):
        AveragePoolScore(**{argument: value})


def test_maps_of_three_axes_in_double_precision_have_a_score():
    maps = np.random.default_rng(0).normal(size=(2, 4, 3, 5, 6))
    score = AveragePoolScore(window=2)
    values = score(ops.convert_to_tensor(maps, "float64"), 4)
    expected = score(ops.convert_to_tensor(maps, "float32"), 4)
    np.testing.assert_allclose(drawing.as_array(values), drawing.as_array(expected), rtol=1e-6)
