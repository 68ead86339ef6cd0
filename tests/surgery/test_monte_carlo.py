import keras
import numpy as np
import pytest
from keras import layers

from keras_selectscale import SpatialDropout, drops_active, insert_drops, mc_predict
from tests.surgery.models import IMAGE, images, small

DROP = SpatialDropout(retaining_rate=0.5, seed=3)


def states(model):
    return [
        keras.ops.convert_to_numpy(layer.seed_generator.state.value)
        for layer in model.layers
        if isinstance(layer, SpatialDropout)
    ]


def test_mean_and_deviation_are_those_of_the_predictions():
    network = small()  # A seed follows from a site's name, and that of an operation is counted up.
    one, other = (insert_drops(network, DROP) for _ in range(2))
    x = images(5)
    with drops_active(one):
        drawn = np.stack([one.predict(x, batch_size=2, verbose=0) for _ in range(7)])
    mean, deviation = mc_predict(other, x, samples=7, batch_size=2)
    assert mean.shape == (5, 3) and mean.dtype == deviation.dtype == np.float64
    np.testing.assert_allclose(mean, drawn.mean(0, "float64"), rtol=1e-12)
    np.testing.assert_allclose(deviation, drawn.astype("float64").std(0), rtol=1e-9)
    assert deviation.min() > 0


def test_a_seed_repeats_and_leaves_the_states():
    model = insert_drops(small(), DROP)
    x, before, weights = images(), states(model), model.get_weights()
    first, again, other = (mc_predict(model, x, samples=3, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    np.testing.assert_array_equal(states(model), before)
    first, again = mc_predict(model, x, samples=3), mc_predict(model, x, samples=3)
    assert not np.array_equal(first, again)
    assert not np.array_equal(states(model), before)
    for old, new in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_outputs_in_a_nest():
    inputs = keras.Input(IMAGE)
    x = layers.Dropout(0.5)(inputs)
    model = keras.Model(inputs, {"a": x, "b": [layers.Flatten()(x), inputs]})
    x = np.ones((30, *IMAGE), "float32")
    mean, deviation = mc_predict(model, x, samples=20, seed=1)
    assert mean["a"].shape == x.shape and mean["b"][0].shape == (30, 360)
    # Each unit is 0 or 2 at even odds: mean and variance are 1, and 19/20 in 20 samples.
    assert abs(mean["a"].mean() - 1) < 0.02
    assert abs(np.square(deviation["a"]).mean() - 0.95) < 0.02
    np.testing.assert_array_equal(mean["b"][1], x)
    np.testing.assert_array_equal(deviation["b"][1], 0 * x)


def test_drops_that_change_nothing_are_said():
    model = insert_drops(small(), SpatialDropout(retaining_rate=1.0))
    with pytest.warns(UserWarning, match="All 2 predictions are equal"):
        mean, deviation = mc_predict(model, images(), samples=2)
    np.testing.assert_array_equal(mean, model.predict(images(), verbose=0))
    assert not deviation.any()


@pytest.mark.parametrize(
    "kwargs, error, words",
    [
        ({"model": small()}, ValueError, "`model` must have a drop layer"),
        ({"samples": 0}, ValueError, "`samples`"),
        ({"samples": 2.5}, TypeError, "`samples`"),
        ({"seed": -1}, ValueError, "`seed`"),
        ({"seed": "a"}, TypeError, "`seed`"),
        ({"which": "none"}, ValueError, "`which`"),
        ({"x": (image for image in images())}, TypeError, "`x`"),
    ],
)
def test_bad_arguments_are_refused(kwargs, error, words):
    given = {"model": insert_drops(small(), DROP), "x": images(), **kwargs}
    with pytest.raises(error, match=words):
        mc_predict(**given)
