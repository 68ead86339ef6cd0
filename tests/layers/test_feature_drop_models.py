"""The training flag, as models pass it on."""

import itertools

import keras
import numpy as np
import pytest
from keras import ops

from tests.layers import drawing

SHAPE = (5, 4, 12)
# Ones would leave the candidates of Selectout and SelectScale the same; nothing here needs more.
SAMPLES = np.random.default_rng(0).normal(size=(8, *SHAPE)).astype("float32")


def sequential(layer):
    return keras.Sequential([keras.Input(SHAPE), layer])


def functional(layer):
    inputs = keras.Input(SHAPE)
    return keras.Model(inputs, layer(inputs))


def nested(layer):
    inputs = keras.Input(SHAPE)
    inner = keras.Sequential([keras.Sequential([layer])])
    return keras.Model(inputs, inner(inputs))


class Subclassed(keras.Model):
    """Passes the flag on: without that, `fit` on JAX calls the inner layers as in inference.

    So it does with Keras' own dropout; and a `call` without the argument does so on every backend.
    """

    def __init__(self, layer):
        super().__init__()
        self.inner = keras.Sequential([layer])

    def call(self, inputs, training=None):
        return self.inner(inputs, training=training)


def time_distributed(layer):
    inputs = keras.Input(SHAPE)
    return keras.Model(inputs, keras.layers.TimeDistributed(layer)(inputs))


MODELS = (sequential, functional, nested, Subclassed, time_distributed)


@pytest.fixture(params=MODELS)
def build(request):
    return request.param


@pytest.fixture(params=drawing.LAYERS)
def make(request):
    return drawing.LAYERS[request.param]


def distance(y_true, y_pred):
    return ops.mean(ops.abs(y_true - y_pred))


def test_the_flag_reaches_the_layer(make, build):
    model = build(make())
    inputs = ops.convert_to_tensor(SAMPLES)
    for call in ({}, {"training": False}):
        np.testing.assert_array_equal(drawing.as_array(model(inputs, **call)), SAMPLES)
    outputs = drawing.as_array(model(inputs, training=True))
    assert outputs.shape == SAMPLES.shape and np.any(outputs != SAMPLES)


# Every way of building with the layer that holds another one, and every layer in one of them.
QUICK = {(build, "Selective") for build in MODELS} | {
    (functional, name) for name in ("SpatialScale", "Selectout")
}


@pytest.mark.parametrize(
    ("build", "name"),
    [
        pytest.param(*case, marks=() if case in QUICK else pytest.mark.slow)
        for case in itertools.product(MODELS, ("SpatialScale", "Selectout", "Selective"))
    ],
)
def test_fit_draws_and_predict_and_evaluate_do_not(build, name):
    model = build(drawing.LAYERS[name]())
    model.compile(optimizer="sgd", loss=distance)
    history = model.fit(
        SAMPLES, SAMPLES, validation_data=(SAMPLES, SAMPLES), epochs=2, batch_size=4, verbose=0
    )
    assert min(history.history["loss"]) > 0.01
    assert history.history["loss"][0] != history.history["loss"][1]
    assert history.history["val_loss"] == [0, 0]
    assert model.evaluate(SAMPLES, SAMPLES, verbose=0) == 0
    np.testing.assert_array_equal(model.predict(SAMPLES, verbose=0), SAMPLES)


def test_a_flag_of_the_call_site_wins(make):
    """Monte-Carlo dropout: on at this site where the model is called without a flag."""
    inputs = keras.Input(SHAPE)
    model = keras.Model(inputs, make()(inputs, training=True))
    assert np.any(drawing.as_array(model(SAMPLES)) != SAMPLES)
    off = keras.Model(inputs, make()(inputs, training=False))
    np.testing.assert_array_equal(drawing.as_array(off(SAMPLES)), SAMPLES)


def test_frozen_layers_draw_as_dropout_does(make):
    layer = make(trainable=False)
    assert np.any(drawing.as_array(layer(SAMPLES, training=True)) != SAMPLES)
    assert layer.get_config()["trainable"] is False


def test_a_float_rate_has_no_variable(make):
    layer = make()
    layer.build((None, *SHAPE))
    assert layer.weights == []


def test_models_are_cloned(make):
    model = functional(make())
    clone = keras.models.clone_model(model)
    assert clone.layers[1] is not model.layers[1]
    assert clone.layers[1].get_config() == model.layers[1].get_config()
