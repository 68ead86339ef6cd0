"""Selective around drops of this package, of Keras, and custom ones."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

from keras_selectscale import (
    FeatureDrop,
    Selective,
    SpatialDropout,
    SpatialScale,
    StandardDropout,
    linear_curriculum,
)
from tests.layers import drawing, reference, strategies

DROPS = {
    "StandardDropout": lambda **more: StandardDropout(retaining_rate=0.5, **more),
    "SpatialDropout": lambda **more: SpatialDropout(retaining_rate=0.5, **more),
    "SpatialScale": lambda **more: SpatialScale(retaining_rate=0.0, **more),
    "GaussianDropout": lambda **more: keras.layers.GaussianDropout(0.5, **more),
    "GaussianNoise": lambda **more: keras.layers.GaussianNoise(1.0, **more),
    "Dropout": lambda **more: keras.layers.Dropout(0.5, **more),
    "AlphaDropout": lambda **more: keras.layers.AlphaDropout(0.5, **more),
    "SpatialDropout2D": lambda **more: keras.layers.SpatialDropout2D(0.5, **more),
}


@pytest.fixture(params=DROPS)
def drop(request):
    return DROPS[request.param]


def test_it_is_the_drop_on_the_top_maps_and_nothing_elsewhere(drop):
    inputs = drawing.maps((5, 4, 3, 12))
    maps = drawing.as_array(inputs)
    layer = Selective(drop(seed=3), top_rate=0.3)
    outputs = drawing.as_array(layer(inputs, training=True))
    alone = drawing.as_array(drop(seed=3)(inputs, training=True))
    marked = reference.candidates(maps, 0.3)[:, None, None, :]
    np.testing.assert_array_equal(outputs, np.where(marked, alone, maps))
    assert np.any(outputs != maps)


def test_without_training_the_output_is_the_input_itself(drop):
    inputs = drawing.maps((2, 4, 3, 12))
    layer = Selective(drop(), top_rate=0.3)
    for call in ({}, {"training": False}, {"training": None}):
        assert layer(inputs, **call) is inputs


@strategies.examples(30)
@given(data=st.data(), data_format=strategies.DATA_FORMATS, top_rate=strategies.RATES)
def test_the_selection_is_that_of_the_paper(data, data_format, top_rate):
    inputs = data.draw(strategies.feature_maps(data_format))
    layer = Selective(
        keras.layers.GaussianNoise(1.0, seed=4), top_rate=top_rate, data_format=data_format
    )
    changed = drawing.factor(layer, inputs) != 1
    maps = reference.channels_last(drawing.as_array(inputs), data_format)
    rows = changed.reshape(maps.shape[0], -1, maps.shape[-1])
    np.testing.assert_array_equal(rows.any(axis=1), reference.candidates(maps, top_rate))


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("name", ["SpatialScale", "SpatialDropout2D"])
def test_the_data_format_is_that_of_the_drop(name, data_format):
    layer = Selective(DROPS[name](data_format=data_format), top_rate=0.3)
    assert layer.data_format == data_format
    assert Selective(DROPS["GaussianNoise"](), top_rate=0.3).data_format == "channels_last"


@pytest.mark.parametrize("name", ["SpatialScale", "SpatialDropout2D"])
def test_another_data_format_than_that_of_the_drop_is_an_error(name):
    drop = DROPS[name](data_format="channels_last")
    with pytest.raises(ValueError, match="`data_format` must be that of `drop`.*channels_first"):
        Selective(drop, top_rate=0.3, data_format="channels_first")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "mixed_float16"])
def test_the_output_has_the_dtype_of_the_layer_whatever_that_of_the_drop(dtype):
    layer = Selective(keras.layers.GaussianNoise(1.0, dtype="float32"), top_rate=0.3, dtype=dtype)
    outputs = layer(drawing.maps((2, 3, 12)), training=True)
    assert keras.backend.standardize_dtype(outputs.dtype) == layer.compute_dtype


@pytest.mark.parametrize(
    "value", [None, 0.5, "SpatialScale", SpatialScale, keras.layers.Dropout, lambda x: x]
)
def test_a_drop_that_is_no_layer_is_an_error(value):
    with pytest.raises(TypeError, match="`drop` must be a layer.*Received: drop="):
        Selective(value, top_rate=0.3)


def test_a_drop_without_a_training_argument_is_an_error():
    with pytest.raises(ValueError, match="`drop` must be a drop layer.*`training`.*ReLU"):
        Selective(keras.layers.ReLU(), top_rate=0.3)


class Signs(FeatureDrop):
    """A custom drop: half of the maps change their sign."""

    def draw_factor(self, inputs, retaining_rate):
        shape = self.map_shape(inputs)
        kept = keras.random.uniform(shape, seed=self.seed_generator) < retaining_rate
        return ops.where(kept, 1.0, -1.0)


class Doubling(SpatialScale):
    """A drop whose output is not its factor times its input."""

    def call(self, inputs, training=False):
        return 2.0 * super().call(inputs, training=training)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("drop", [Signs, Doubling])
def test_it_takes_any_feature_drop_compiled_or_not(drop, compiled):
    inputs = drawing.maps((6, 4, 3, 12))
    maps = drawing.as_array(inputs)

    def outputs_of(layer):
        """On TensorFlow XLA draws other numbers than a graph for `keras.random`."""
        if compiled:
            return drawing.as_array(drawing.compiled(layer, inputs.shape)[0](inputs))
        return drawing.as_array(layer(inputs, training=True))

    outputs = outputs_of(Selective(drop(retaining_rate=0.3, seed=5), top_rate=0.5))
    alone = outputs_of(drop(retaining_rate=0.3, seed=5))
    marked = reference.candidates(maps, 0.5)[:, None, None, :]
    np.testing.assert_array_equal(outputs, np.where(marked, alone, maps))
    assert np.any(alone[0, 0, 0] != maps[0, 0, 0])


def test_the_schedule_of_the_drop_counts_each_training_call():
    drop = SpatialScale(retaining_rate=linear_curriculum(0.0, steps=4), seed=5)
    layer = Selective(drop, top_rate=1.0)
    inputs = drawing.maps((6, 4, 3, 12))
    layer(inputs)
    widest = [np.abs(drawing.factor(layer, inputs) - 1).max() for _ in range(5)]
    assert int(drop.training_calls) == 5
    assert widest[0] == 0 and 0 < widest[1] <= 0.25 < widest[3] <= 0.75 < widest[4] <= 1


def test_a_drop_that_changes_the_shape_is_an_error():
    """A row for each map would broadcast, and silently."""
    layer = Selective(keras.layers.LSTM(12), top_rate=0.3)
    with pytest.raises(ValueError, match=r"keeps the shape.*makes \(4, 12\) of \(4, 3, 12\)"):
        layer(drawing.maps((4, 3, 12)), training=True)


def test_the_rates_are_keywords():
    with pytest.raises(TypeError, match="takes `drop` by position; write `top_rate=`.*: 0.3$"):
        Selective(SpatialScale(retaining_rate=0.5), 0.3)
    with pytest.raises(TypeError, match="drop"):
        Selective(top_rate=0.3)


def test_drops_may_be_nested():
    """The top quarter of the top half is the top quarter."""
    inputs = drawing.maps((3, 4, 12))
    inner = Selective(keras.layers.GaussianNoise(1.0, seed=1), top_rate=0.5)
    once = Selective(keras.layers.GaussianNoise(1.0, seed=1), top_rate=0.25)
    factor = drawing.factor(Selective(inner, top_rate=0.25), inputs)
    np.testing.assert_array_equal(factor, drawing.factor(once, inputs))
    assert np.any(factor != 1)


def test_a_drop_with_weights_is_built_and_trained():
    layer = Selective(keras.layers.BatchNormalization(), top_rate=0.5)
    layer(drawing.maps((4, 3, 12)), training=True)
    assert len(layer.trainable_weights) == 2 and len(layer.weights) == 4


def test_the_gradient_is_that_of_the_drop_on_the_top_maps():
    inputs = ops.zeros((2, 3, 8))
    layer = Selective(keras.layers.Dropout(0.5, seed=2), top_rate=0.5)
    layer.build(inputs.shape)
    _, gradient = drawing.outputs_and_gradient(lambda x: layer(x, training=True), inputs)
    gradient = drawing.as_array(gradient)
    np.testing.assert_array_equal(np.unique(gradient[..., :4]), [0, 2])
    np.testing.assert_array_equal(gradient[..., 4:], 1)
