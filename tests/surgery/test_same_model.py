"""Every rebuilt model is compared with the original before it is returned."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_selectscale import SpatialDropout, insert_drops, strip_drops
from tests.surgery.models import many_ways, randomize

DROP = SpatialDropout(retaining_rate=0.5, seed=1)


class Scale(layers.Layer):
    """Forgets an argument that has a default."""

    def __init__(self, factor=1.0, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, x):
        return x * self.factor

    def get_config(self):
        return super().get_config()


class Noise(layers.Layer):
    """Draws in inference too."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seed_generator = keras.random.SeedGenerator(3)

    def call(self, x):
        return x + keras.random.normal(ops.shape(x), seed=self.seed_generator)


class Counting(layers.Layer):
    def build(self, shape):
        self.count = self.add_weight(initializer="zeros", trainable=False, name="count")

    def call(self, x):
        self.count.assign(self.count + 1)
        return x


def network(layer, dtype="float32"):
    inputs = keras.Input((None, None, 3), dtype=dtype)
    x = layers.Conv2D(4, 3, name="conv")(layer(inputs))
    return randomize(keras.Model(inputs, layers.GlobalAveragePooling2D()(x), name="network"))


@pytest.mark.parametrize("rewrite", [lambda m: insert_drops(m, DROP), strip_drops])
def test_a_layer_that_comes_out_otherwise_is_named(rewrite):
    class Network(keras.Model):
        pass

    plain = network(Scale(2.0, name="scale"))
    model = Network(plain.input, plain.output, name="network")
    words = (
        "the Network 'network' computes something else.*first in the layer 'scale' .*Scale.*copy"
    )
    with pytest.raises(ValueError, match=words):
        rewrite(model)


def test_the_layer_can_be_reused():
    model = network(Scale(2.0))
    new = insert_drops(model, DROP, copy=False)
    x = np.ones((1, 5, 5, 3))
    np.testing.assert_array_equal(*(ops.convert_to_numpy(m(x)) for m in (model, new)))


def test_a_model_that_draws_in_inference_is_not_held_against_itself():
    insert_drops(network(Noise()), DROP)


def test_drops_that_are_on_in_inference_do_not_matter():
    inputs = keras.Input((6, 6, 3))
    x = layers.Conv2D(4, 3)(inputs)
    x = layers.Dropout(0.5)(x, training=True)
    model = keras.Model(inputs, layers.GlobalAveragePooling2D()(x))
    strip_drops(insert_drops(model, DROP))


def test_the_comparison_leaves_no_trace():
    model = network(Counting(name="counting"))
    new = insert_drops(network(Noise()), DROP)
    before = float(model.get_layer("counting").count)
    for m in (insert_drops(model, DROP), model):
        assert float(m.get_layer("counting").count) == before
    states = [layer.seed_generator.state for layer in new.layers if isinstance(layer, Noise)]
    assert ops.convert_to_numpy(states[0])[1] == 0


@pytest.mark.parametrize("dtype", ["int32", "uint8", "bool"])
def test_inputs_that_are_no_floats(dtype):
    insert_drops(network(layers.Lambda(lambda x: ops.cast(x, "float32")), dtype), DROP)


def test_inputs_of_a_size_that_the_model_wants():
    inputs = keras.Input((None, 3))
    x = layers.Conv1D(4, 3)(inputs)
    x = layers.Dense(2)(ops.reshape(x, (-1, 94 * 4)))  # 96 steps.
    insert_drops(randomize(keras.Model(inputs, x)), DROP)


def test_structures_of_inputs_and_outputs():
    insert_drops(many_ways(), DROP)
