import keras
import numpy as np
import pytest
from keras import layers

from keras_selectscale import SelectScale, models
from keras_selectscale.models.dtype_policy import dtype_policy
from keras_selectscale.surgery.strip import in_float32
from tests.surgery import models as made


def resnet():
    drop = SelectScale(top_rate=0.5, retaining_rate=0.2, seed=3)
    return models.build("resnet-8", input_shape=(9, 7, 3), drop=drop)


def composite():
    """Layers that hold layers, of policies of their own."""
    inputs = keras.Input((4, 6), name="words")
    x = layers.Bidirectional(layers.LSTM(3, return_sequences=True))(inputs)
    x = layers.MultiHeadAttention(2, 3)(x, x)
    x = layers.TimeDistributed(layers.Dense(5, activation="relu"))(x)
    x = keras.ops.mean(layers.Lambda(lambda t: 2 * t, output_shape=(4, 5))(x) + 1.0, axis=1)
    return keras.Model(inputs, layers.Dense(2, name="out")(x))


@pytest.mark.parametrize("build", [resnet, composite, made.sequential])
@pytest.mark.parametrize("half", ["mixed_bfloat16", "mixed_float16"])
def test_it_is_the_network_built_in_float32(build, half):
    with dtype_policy(half):
        model = build()
    made.randomize(model)
    with dtype_policy("float32"):
        wanted = build()
    for ours, theirs in zip(wanted.weights, model.weights, strict=True):
        ours.assign(theirs.value)
    twin = in_float32(model)
    x = np.random.default_rng(0).normal(size=(3, *model.input_shape[1:])).astype("float32")
    found = keras.ops.convert_to_numpy(twin(x))
    assert found.dtype == "float32"
    np.testing.assert_array_equal(found, keras.ops.convert_to_numpy(wanted(x)))
    rounded = keras.ops.convert_to_numpy(keras.ops.cast(model(x), "float32"))
    assert 0 < np.abs(found - rounded).max()
    assert {layer.compute_dtype for layer in twin._flatten_layers()} == {"float32"}
    # The original stays.
    halved = {layer.compute_dtype for layer in model._flatten_layers()}
    assert half.removeprefix("mixed_") in halved


def test_inputs_that_are_no_floats_stay():
    inputs = keras.Input((3,), dtype="int32")
    with dtype_policy("mixed_bfloat16"):
        x = layers.Flatten()(layers.Embedding(5, 2)(inputs))
        model = keras.Model(inputs, layers.Dense(1)(x))
    twin = in_float32(model)
    assert twin.inputs[0].dtype == "int32"
    assert twin(np.array([[0, 1, 4]])).dtype == twin.layers[-1].kernel.value.dtype


def test_a_lookup_of_words_stays():
    words = keras.Input((2,), dtype="string")
    with dtype_policy("mixed_bfloat16"):
        x = layers.StringLookup(vocabulary=["a", "b"])(words)
        model = keras.Model(words, layers.Dense(1)(layers.Flatten()(layers.Embedding(3, 2)(x))))
    twin = in_float32(model)
    lookup = next(layer for layer in twin.layers if isinstance(layer, layers.StringLookup))
    assert lookup.get_vocabulary() == ["[UNK]", "a", "b"]
    assert twin.inputs[0].dtype == "string"
    assert twin.layers[-1].compute_dtype == "float32"


def test_a_subclassed_model_is_refused():
    class Own(keras.Model):
        def call(self, inputs):
            return inputs

    with pytest.raises(ValueError, match="subclassed"):
        in_float32(Own())
