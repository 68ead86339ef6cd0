import gc
import warnings

import keras
import numpy as np
import pytest

from keras_selectscale import SpatialScale, insert_drops, strip_drops

layers = keras.layers


@pytest.fixture(autouse=True)
def only_new_objects_are_collected():
    """Keras collects garbage for each kernel that quantization replaces."""
    gc.freeze()
    yield
    gc.unfreeze()


def outputs(model, x):
    return keras.ops.convert_to_numpy(model(x, training=False))


def randomized(model):
    """Gives every weight its own random values."""
    generator = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(generator.normal(size=weight.shape))
    return model


def dense(inputs):
    x = layers.Dense(5, activation="relu", name="hidden")(inputs)
    return layers.Dense(4, use_bias=False)(layers.Dropout(0.5)(x))


def einsum(inputs):
    x = layers.EinsumDense("abc,cd->abd", (None, 4), bias_axes="d", name="hidden")(inputs)
    return layers.Dense(3)(layers.Dropout(0.5)(x))


def inside_a_wrapper(inputs):
    x = layers.TimeDistributed(layers.Dense(4), name="hidden")(inputs)
    return layers.Dropout(0.5)(x)


def attention(inputs):
    x = layers.MultiHeadAttention(2, 3, name="hidden")(inputs, inputs)
    return layers.Dropout(0.5)(x)


KINDS = {made.__name__: made for made in (dense, einsum, inside_a_wrapper, attention)}


def add_lora(model):
    for layer in model._flatten_layers(include_self=False):
        if hasattr(layer, "enable_lora") and layer.built:
            layer.enable_lora(2, lora_alpha=3)
    for weight in model.weights:
        if "lora" in weight.path:
            weight.assign(np.random.default_rng(1).normal(size=weight.shape))


def quantize(model, mode, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Of each layer that cannot be quantized.
        model.quantize(mode, **kwargs)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("changes", ["float8", "lora", "int8 lora", "lora int4"])
def test_quantized_layers_and_those_with_lora_are_stripped_and_given_drops(kind, changes):
    inputs = keras.Input((6, 4))
    model = randomized(keras.Model(inputs, KINDS[kind](inputs)))
    for change in changes.split():
        add_lora(model) if change == "lora" else quantize(model, change)
    x = np.random.default_rng(2).normal(size=(3, 6, 4)).astype("float32")
    expected = outputs(model, x)
    stripped = strip_drops(model)
    given = insert_drops(stripped, drop=SpatialScale(retaining_rate=0.5), after="hidden")
    for made in (stripped, given):
        np.testing.assert_array_equal(outputs(made, x), expected)
        originals, copied = ({v.path for v in m.weights} for m in (model, made))
        assert {path.split("/")[-1] for path in originals} <= {
            path.split("/")[-1] for path in copied
        }
        trainable = [sum(v.trainable for v in m.weights) for m in (model, made)]
        assert trainable[0] == trainable[1]


@pytest.mark.parametrize("mode", ["gptq", "awq"])
def test_layers_that_were_calibrated_and_those_that_were_not_are_stripped(mode):
    inside = keras.Input((6, 4))
    block = keras.Model(inside, layers.MultiHeadAttention(1, 2)(inside, inside))
    words = keras.Input((6,), dtype="int32")
    embedding = layers.Embedding(7, 4)
    # Only the block is calibrated.
    model = randomized(keras.Model(words, layers.Dense(3)(block(embedding(words)))))
    config = {"gptq": keras.quantizers.GPTQConfig, "awq": keras.quantizers.AWQConfig}[mode](
        dataset=list(np.random.default_rng(0).integers(0, 7, (4, 1, 6))),
        tokenizer=lambda text: text,
        num_samples=4,
        sequence_length=6,
        group_size=2,
    )
    structure = {"pre_block_layers": [embedding], "sequential_blocks": [block]}
    model.get_quantization_layer_structure = lambda mode: structure
    quantize(model, mode, config=config)
    x = np.random.default_rng(2).integers(0, 7, (3, 6))
    np.testing.assert_array_equal(outputs(strip_drops(model), x), outputs(model, x))


@keras.saving.register_keras_serializable(package="tests")
class TwoUnnamed(keras.layers.Layer):
    """A layer whose weights have the names that Keras makes up."""

    def build(self, input_shape):
        self.factor = keras.Variable(np.full(input_shape[-1], 2.0), dtype="float32")
        self.offset = keras.Variable(np.full(input_shape[-1], 3.0), dtype="float32")

    def call(self, inputs):
        return inputs * self.factor + self.offset


def test_variables_without_names_are_paired_by_position():
    inputs = keras.Input((4,))
    model = keras.Model(inputs, layers.Dropout(0.5)(TwoUnnamed()(inputs)))
    np.testing.assert_array_equal(outputs(strip_drops(model), np.ones((1, 4))), [[5.0] * 4])
