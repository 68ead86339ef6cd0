"""`copy=False` reuses the layers of the original."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_selectscale import SelectScale, insert_drops, strip_drops
from tests.surgery.models import (
    assert_equal_to_the_bit,
    everything_in,
    many_inputs,
    many_ways,
    sequential,
    small,
    walk,
)

DROP = SelectScale(top_rate=0.5, retaining_rate=0.2, seed=3)
X = np.random.default_rng(0).normal(size=(3, 12, 10, 3)).astype("float32")


class Closed(layers.Layer):
    """Nothing could copy it."""

    def __init__(self, table, **kwargs):
        super().__init__(**kwargs)
        self.table = table

    def build(self, shape):
        self.scale = self.add_weight(shape=(shape[-1],), initializer="ones", name="scale")

    def call(self, x):
        return x * self.scale

    def get_config(self):
        return super().get_config()


def closed():
    inputs = keras.Input((12, 10, 3))
    inner = keras.Input((12, 10, 3))
    x = layers.Conv2D(4, 3, name="conv")(Closed(object(), name="closed")(inner))
    nested = keras.Model(inner, layers.ReLU(name="relu")(x), name="nested")
    return keras.Model(inputs, layers.GlobalAveragePooling2D()(nested(inputs)))


def test_a_network_whose_layers_cannot_be_copied_has_drops_at_all():
    model = closed()
    with pytest.raises(ValueError, match="'closed' .*Closed.* cannot be copied.*`copy=False`"):
        insert_drops(model, DROP)
    new = insert_drops(model, DROP, copy=False)
    assert "nested_relu_drop" in [layer.name for layer in everything_in(new)]
    assert_equal_to_the_bit(model, new, X)
    first, second = (ops.convert_to_numpy(new(X, training=True)) for _ in range(2))
    assert np.abs(first - second).max() > 0
    with pytest.raises(ValueError, match="cannot be copied"):
        strip_drops(new)
    assert_equal_to_the_bit(model, strip_drops(new, copy=False), X)


@pytest.mark.parametrize("make, x", [(small, X), (sequential, X), (many_ways, None)])
def test_the_layers_are_those_of_the_original(make, x):
    x = many_inputs() if x is None else x
    model = make()
    before = walk(model)
    new = insert_drops(model, DROP, copy=False)
    theirs = {id(layer) for layer in everything_in(model)}
    kinds = (SelectScale, keras.Model, layers.InputLayer)
    others = [layer for layer in everything_in(new) if not isinstance(layer, kinds)]
    assert others and all(id(layer) in theirs for layer in others)
    assert walk(model) == before
    assert_equal_to_the_bit(model, new, x)
    stripped = strip_drops(new, which="selectscale", copy=False)
    assert sorted(name for name, _ in walk(stripped)) == sorted(name for name, _ in before)
    assert_equal_to_the_bit(model, stripped, x)


def test_training_one_trains_the_other():
    model = small()
    model.compile("sgd", "mse")
    new = insert_drops(model, DROP, copy=False)
    assert new.compiled and new.optimizer is not model.optimizer
    before = model.get_weights()
    new.fit(X, np.zeros((3, 3)), verbose=0)
    assert any((a != b).any() for a, b in zip(before, model.get_weights(), strict=True))
    assert_equal_to_the_bit(model, new, X)


def test_trainable_flags_stay():
    model = many_ways()
    inner = model.get_layer("inner")
    inner.trainable = False
    inner.get_layer("stack").get_layer("deep").bias.trainable = True
    flags = [(v.path, v.trainable) for v in model.weights]
    for new in (insert_drops(model, DROP, copy=False), insert_drops(model, DROP)):
        assert [(v.path, v.trainable) for v in model.weights] == flags
        assert new.get_layer("inner").trainable is False
        assert sorted(v.path for v in new.trainable_weights) == sorted(
            v.path for v in model.trainable_weights
        )


def test_a_graph_is_not_silently_built_on_the_old_one():
    new = insert_drops(small(), DROP, copy=False)
    # `a_conv` was called in the original first, and Keras gives the output of the first call.
    with pytest.raises(ValueError):
        keras.Model(new.inputs, new.get_layer("a_conv").output)
