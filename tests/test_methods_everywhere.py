"""Every registered drop method works everywhere without further code."""

import keras
import numpy as np
import pytest

from keras_selectscale import Selective, export, insert_drops, models, strip_drops
from keras_selectscale.layers.methods import METHODS, PAPER_METHODS, make_drop
from keras_selectscale.training import Recipe
from keras_selectscale.tuning import RateSpace

NEW = [name for name in METHODS if name not in PAPER_METHODS]
LAYERS = [name for name, method in METHODS.items() if method.layer is not None]


def test_there_are_methods_beyond_the_paper():
    assert {"drop-block", "drop-path"} <= set(NEW)


@pytest.mark.parametrize("name", LAYERS)
def test_in_selective(name):
    x = np.random.default_rng(0).normal(size=(16, 6, 5, 4)).astype("float32")
    x[..., 2] *= 100
    layer = Selective(make_drop(name, retaining_rate=0.8, seed=1), top_rate=0.25)
    y = keras.ops.convert_to_numpy(layer(x, training=True))
    assert (y[..., 2] != x[..., 2]).any()
    np.testing.assert_array_equal(np.delete(y, 2, -1), np.delete(x, 2, -1))


@pytest.mark.parametrize("name", NEW)
def test_in_a_network_through_surgery_and_an_export(name, tmp_path):
    drop = make_drop(name, seed=1)
    network = models.build("resnet-8", drop=drop, input_shape=(8, 6, 1))
    assert sum(isinstance(layer, type(drop)) for layer in network.layers) == 7
    plain = strip_drops(network)
    assert not any(isinstance(layer, type(drop)) for layer in plain.layers)
    again = insert_drops(plain, drop)
    assert any(isinstance(layer, type(drop)) for layer in again.layers)
    x = np.random.default_rng(0).normal(size=(3, 8, 6, 1)).astype("float32")
    outputs = [keras.ops.convert_to_numpy(model(x)) for model in (network, plain, again)]
    np.testing.assert_array_equal(outputs[0], outputs[1])
    np.testing.assert_array_equal(outputs[0], outputs[2])
    trained = keras.ops.convert_to_numpy(again(x, training=True))
    assert (trained != outputs[0]).any()
    assert export(again, tmp_path / "network.keras", format="keras").passed


@pytest.mark.parametrize("name", NEW)
def test_in_recipes_and_searches(name):
    recipe = Recipe(network="resnet-8", dataset="digits", drop=name, curriculum="linear")
    assert recipe.retaining_rate == METHODS[name].defaults["retaining_rate"]
    assert isinstance(recipe.make_drop(10), METHODS[name].layer)
    space = RateSpace((name,))
    assert set(space.choices(name)) == set(METHODS[name].space.values)
