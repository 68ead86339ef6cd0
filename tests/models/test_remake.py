"""Layers and drops that Keras could not make from a file are copied in memory."""

import functools

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_selectscale import (
    Selective,
    SelectScale,
    SpatialScale,
    insert_drops,
    models,
    strip_drops,
)
from keras_selectscale.models.remake import remake
from tests.models.inspection import drops

FACTOR = 3.0
X = np.random.default_rng(0).normal(size=(2, 6, 5, 3)).astype("float32")


def minus(amount):
    def bent(x):
        return ops.relu(x) - amount

    return bent


def relu(x):  # Keras has a function of this name.
    return ops.relu(x) * 2 + FACTOR


class Bound:
    def activation(self, x):
        return ops.relu(x) + 0.25


class Penalty(keras.regularizers.Regularizer):
    """Its config holds a function that Keras would write and not read."""

    def __init__(self, function):
        self.function = function

    def __call__(self, x):
        return self.function(x)

    def get_config(self):
        return {"function": self.function}


class Renamed(layers.Lambda):
    pass


class Times(layers.Lambda):
    def __init__(self, factor, **kwargs):
        super().__init__(lambda x: x * factor, **kwargs)


class Incomplete(layers.Layer):
    """`get_config` lacks an argument of the constructor."""

    def __init__(self, units, scale=2.0, **kwargs):
        super().__init__(**kwargs)
        self.dense, self.scale = layers.Dense(units), scale

    def build(self, shape):
        self.dense.build(shape)

    def call(self, x):
        return self.dense(x) * self.scale

    def get_config(self):
        return {**super().get_config(), "scale": self.scale}


class Both(layers.Layer):
    def __init__(self, first, second, **kwargs):
        super().__init__(**kwargs)
        self.first, self.second = first, second

    def build(self, shape):
        self.first.build(shape)
        self.second.build(shape)

    def call(self, x):
        return self.second(self.first(x))

    def get_config(self):
        parts = {"first": self.first, "second": self.second}
        return {**super().get_config(), **keras.saving.serialize_keras_object(parts)}

    @classmethod
    def from_config(cls, config):
        parts = {
            key: keras.saving.deserialize_keras_object(config.pop(key))
            for key in ("first", "second")
        }
        return cls(**parts, **config)


class Chain(layers.Layer):
    def __init__(self, functions, **kwargs):
        super().__init__(**kwargs)
        self.functions = functions

    def call(self, x):
        for function in self.functions:
            x = function(x)
        return x

    def get_config(self):
        return {**super().get_config(), "functions": self.functions}


def dense(**kwargs):
    return layers.Dense(3, **kwargs)


LAYERS = {
    "lambda activation": lambda: dense(activation=lambda x: ops.relu(x) * FACTOR),
    "lambda initializer": lambda: dense(
        kernel_initializer=lambda shape, dtype=None: ops.ones(shape, dtype)
    ),
    "lambda regularizer": lambda: dense(kernel_regularizer=lambda w: ops.sum(w * w)),
    "lambda constraint": lambda: dense(kernel_constraint=lambda w: ops.abs(w)),
    "regularizer of a lambda": lambda: dense(kernel_regularizer=Penalty(lambda w: ops.sum(w * w))),
    "partial": lambda: dense(activation=functools.partial(ops.leaky_relu, negative_slope=0.3)),
    "bound method": lambda: dense(activation=Bound().activation),
    "name of Keras": lambda: dense(activation=relu),
    "subclass of Lambda": lambda: Renamed(lambda x: x * FACTOR),
    "subclass with arguments": lambda: Times(5.0),
    "Lambda in TimeDistributed": lambda: layers.TimeDistributed(
        layers.Lambda(lambda x: x * FACTOR)
    ),
    "lambda in a nested model": lambda: keras.Sequential([dense(activation=lambda x: x * FACTOR)]),
    "shape by a lambda": lambda: layers.Lambda(lambda x: x * FACTOR, output_shape=lambda s: s),
    "arguments of a Lambda": lambda: layers.Lambda(
        lambda x, y: x * y, arguments={"y": np.arange(3, dtype="float32")}
    ),
    "two closures of one name": lambda: Both(
        dense(activation=minus(0.25)), dense(activation=minus(0.75))
    ),
    "functions in a list": lambda: Chain([minus(0.25), minus(0.75), lambda x: x * FACTOR]),
    "incomplete config": lambda: Incomplete(3, scale=4.0),
}


@pytest.mark.filterwarnings("error::UserWarning")
@pytest.mark.parametrize("name", LAYERS)
def test_what_only_a_file_could_not_hold_is_copied(name):
    inputs = keras.Input(X.shape[1:])
    x = LAYERS[name]()(layers.ReLU(name="site")(inputs))
    model = keras.Model(inputs, layers.Dropout(0.5)(x))
    expected = ops.convert_to_numpy(model(X))
    drop = SpatialScale(retaining_rate=0.5)
    for new in (strip_drops(model), insert_drops(model, drop, after="site")):
        np.testing.assert_array_equal(expected, ops.convert_to_numpy(new(X)))
        losses = [list(map(float, m.losses)) for m in (model, new)]
        assert losses[0] == losses[1] and ("regularizer" in name) is bool(losses[0])
    # The functions are back in their places.
    np.testing.assert_array_equal(expected, ops.convert_to_numpy(model(X)))


def test_the_functions_are_the_same_objects():
    function = functools.partial(minus, 2.0)
    layer = Chain([function, minus, ops.sin])
    copy = remake(layer)
    assert list(copy.functions) == list(layer.functions) == [function, minus, ops.sin]
    assert copy is not layer and copy.name == layer.name


def test_a_layer_without_a_way_is_named_with_the_reason():
    class Closed(layers.Layer):
        def __init__(self, table, **kwargs):
            super().__init__(**kwargs)
            self.table = table

    with pytest.raises(ValueError, match="'closed' .*Closed.* `get_config` .*non-serializable"):
        remake(Closed(object(), name="closed"))


def power(x, channel_axis):
    return ops.mean(x * x, axis=[i for i in range(1, len(x.shape)) if i != channel_axis])


class Power:
    def __call__(self, x, channel_axis):
        return power(x, channel_axis)


class Unregistered(layers.Layer):
    def __init__(self, rate, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.rate, self.seed = rate, seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, x, training=False):
        return keras.random.dropout(x, self.rate, seed=self.seed_generator) if training else x

    def get_config(self):
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}


class Half(keras.optimizers.schedules.LearningRateSchedule):
    def __call__(self, step):
        return 0.5 + 0 * ops.cast(step, "float32")

    def get_config(self):
        return {}


def selecting(score):
    return SelectScale(top_rate=0.5, retaining_rate=0.5, score=score, seed=1)


TEMPLATES = {
    "function": lambda: selecting(power),
    "lambda": lambda: selecting(lambda x, channel_axis: power(x, channel_axis)),
    "partial": lambda: selecting(functools.partial(power)),
    "callable object": lambda: selecting(Power()),
    "custom drop": lambda: Selective(Unregistered(0.5, seed=1), top_rate=0.5, score=power),
    "nested": lambda: Selective(Selective(Unregistered(0.5, seed=1), top_rate=0.5), top_rate=0.5),
    "schedule": lambda: SpatialScale(retaining_rate=Half(), seed=1),
}


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_needs_no_registration(name):
    template = TEMPLATES[name]()
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, name="one")(inputs)
    network = keras.Model(inputs, layers.Flatten()(layers.Conv2D(4, 3, name="two")(x)))
    for model in (
        models.build("resnet-8", input_shape=(8, 8, 3), drop=models.by_group(template, {0: 1})),
        insert_drops(network, template),
        insert_drops(network, models.by_group(template, {0: 0.5, 1: 0.5})),
    ):
        placed = drops(model, type(template))
        assert placed and all(layer.name.endswith("_drop") for layer in placed)
        assert all(getattr(x, "score", 0) is getattr(template, "score", 0) for x in placed)
        model(np.ones((2, 8, 8, 3)), training=True)


def test_a_custom_schedule_is_scaled_by_group():
    template = SpatialScale(retaining_rate=Half(), seed=1)
    choose = models.by_group(template, {3: 0.5})
    assert float(choose(models.DropSite("a", 3, 8)).retaining_rate(7)) == 0.75
