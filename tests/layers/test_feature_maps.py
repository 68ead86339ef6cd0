"""What every layer refuses and passes on."""

import keras
import numpy as np
import pytest
from keras import ops

from tests.layers import drawing


@pytest.fixture(params=drawing.LAYERS)
def make(request):
    return drawing.LAYERS[request.param]


@pytest.mark.parametrize("shape", [(4,), (4, 4), (1, 2, 3, 4, 5, 6)])
def test_another_rank_is_an_error_eager_and_symbolic(make, shape):
    with pytest.raises(ValueError, match=rf"rank 3 to 5.*\(rank {len(shape)}\)"):
        make()(ops.ones(shape))
    with pytest.raises(ValueError, match=rf"rank 3 to 5.*\(rank {len(shape)}\)"):
        make()(keras.Input(shape[1:]))
    with pytest.raises(ValueError, match="rank 3 to 5"):
        make().build(shape)


@pytest.mark.parametrize("call", [{}, {"training": True}])
def test_integers_are_an_error_eager_and_symbolic(make, call):
    with pytest.raises(ValueError, match="floating-point dtype.*inputs.dtype=int32"):
        make()(ops.ones((2, 3, 4), dtype="int32"), **call)
    with pytest.raises(ValueError, match="floating-point dtype.*inputs.dtype=uint8"):
        make()(keras.Input((3, 4), dtype="uint8"), **call)


def test_unknown_channels_are_an_error_symbolic_and_traced(make, data_format):
    shape = (8, 8, None) if data_format == "channels_last" else (None, 8, 8)
    with pytest.raises(ValueError, match=rf"{data_format}.*known size.*None"):
        make(data_format=data_format)(keras.Input(shape))
    if drawing.BACKEND == "tensorflow":
        import tensorflow as tf

        layer = make(data_format=data_format)
        traced = tf.function(
            lambda inputs: layer(inputs, training=True),
            input_signature=[tf.TensorSpec((None, *shape))],
        )
        with pytest.raises(ValueError, match="known size"):
            traced(tf.ones((2, 8, 8, 8)))


def test_sizes_that_are_unknown_pass(make):
    outputs = make()(keras.Input((None, None, 6)))
    assert outputs.shape == (None, None, None, 6)
    model = keras.Sequential([keras.Input((None, None, 6)), make()])
    for shape in ((1, 2, 5, 6), (3, 4, 1, 6)):
        inputs = np.ones(shape, "float32")
        outputs = drawing.as_array(model(inputs, training=True))
        assert outputs.shape == shape
        np.testing.assert_array_equal(model.predict(inputs, verbose=0), inputs)


@pytest.mark.parametrize("value", ["channels", "NHWC", "", 3, ["channels_last"]])
def test_a_bad_data_format_is_an_error(make, value):
    with pytest.raises(ValueError, match="`data_format` must be"):
        make(data_format=value)


def test_the_data_format_is_that_of_keras_where_none_is_given(make):
    before = keras.config.image_data_format()
    try:
        keras.config.set_image_data_format("channels_first")
        assert make().data_format == "channels_first"
        assert make().get_config()["data_format"] == "channels_first"
    finally:
        keras.config.set_image_data_format(before)
    assert make().data_format == before


@pytest.mark.parametrize("dtype", ["int32", "bool", "uint8"])
def test_a_dtype_that_is_no_float_is_an_error(make, dtype):
    with pytest.raises(ValueError, match=f"`dtype` must be a floating-point.*{dtype}"):
        make(dtype=dtype)


def test_an_unknown_keyword_is_an_error(make):
    with pytest.raises((TypeError, ValueError), match="rate"):
        make(rate=0.5)


def test_a_mask_passes_through(make):
    layer = make()
    assert layer.supports_masking
    embedded = keras.layers.Masking()(keras.Input((5, 6)))
    assert layer(embedded)._keras_mask is not None
    masked = keras.layers.Masking()(ops.ones((2, 5, 6)))
    mask = ops.convert_to_tensor(np.array([[True, False, True, True, False]] * 2))
    for training in (False, True):
        outputs = layer(masked, training=training)
        assert outputs.shape == (2, 5, 6)
    np.testing.assert_array_equal(
        ops.convert_to_numpy(layer.compute_mask(masked, mask)), ops.convert_to_numpy(mask)
    )


def test_the_shape_and_the_spec_are_those_of_the_input(make):
    layer = make()
    assert layer.compute_output_shape((None, 7, 6)) == (None, 7, 6)
    assert layer.compute_output_shape([2, 5, 7, 6]) == (2, 5, 7, 6)
    with pytest.raises(ValueError, match="rank 3 to 5"):
        layer.compute_output_shape((2, 6))
    spec = layer.compute_output_spec(keras.KerasTensor((2, 7, 6), dtype="float16"))
    assert (spec.shape, spec.dtype) == ((2, 7, 6), "float16")
