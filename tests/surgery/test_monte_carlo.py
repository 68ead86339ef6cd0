import keras
import numpy as np
import pytest
from keras import layers

from keras_selectscale import (
    SpatialDropout,
    drops_active,
    insert_drops,
    mc_predict,
    strip_drops,
)
from keras_selectscale.surgery.graph import ACTIVE_FUNCTION
from tests.surgery.models import IMAGE, images, small

DROP = SpatialDropout(retaining_rate=0.5, seed=3)


def states(model):
    return [
        keras.ops.convert_to_numpy(layer.seed_generator.state.value)
        for layer in model.layers
        if isinstance(layer, SpatialDropout)
    ]


def test_moments_are_those_of_the_predictions():
    """With as many rows in a call as inputs, the draws are those of `predict`."""
    network = small()  # A seed follows from a site's name, and that of an operation is counted up.
    one, other = (insert_drops(network, DROP) for _ in range(2))
    x = images(5)
    with drops_active(one):
        drawn = np.stack([one.predict(x, verbose=0) for _ in range(7)])
    result = mc_predict(other, x, samples=7, batch_size=5, quantiles=(0, 0.5), return_samples=True)
    mean, deviation = result
    assert mean.shape == (5, 3) and mean.dtype == deviation.dtype == np.float64
    np.testing.assert_allclose(mean, drawn.mean(0, "float64"), rtol=1e-12)
    np.testing.assert_allclose(deviation, drawn.astype("float64").std(0), rtol=1e-9)
    assert deviation.min() > 0
    np.testing.assert_array_equal(result.samples, drawn)
    np.testing.assert_array_equal(result.quantiles[0], drawn.min(0))
    np.testing.assert_array_equal(result.quantiles[1], np.median(drawn, 0))
    assert mc_predict(other, x, samples=2).samples is None


@pytest.mark.parametrize("from_logits", [True, False])
def test_entropies_are_those_of_the_mean_and_of_the_samples(from_logits):
    activation = None if from_logits else "softmax"
    model = keras.Sequential(
        [keras.Input((4, 6)), SpatialDropout(retaining_rate=0.5), layers.Flatten()]
        + [layers.Dense(3, activation, kernel_initializer=keras.initializers.Orthogonal(3, seed=1))]
    )
    x = np.random.default_rng(1).normal(size=(5, 4, 6))
    result = mc_predict(model, x, 40, return_samples=True, from_logits=from_logits)
    p = result.samples.astype("float64")
    if from_logits:
        p = np.exp(p) / np.exp(p).sum(-1, keepdims=True)
    total = -(p.mean(0) * np.log(p.mean(0))).sum(-1)
    np.testing.assert_allclose(result.entropy, total, rtol=1e-6)
    within = -(p * np.log(p)).sum(-1).mean(0)
    np.testing.assert_allclose(result.mutual_information, total - within, rtol=1e-4, atol=1e-7)
    assert result.mutual_information.min() > 0.01


def test_outputs_that_are_not_probabilities_have_no_entropy():
    result = mc_predict(insert_drops(small(), DROP), images(), samples=2, batch_size=1)
    with pytest.raises(ValueError, match="from_logits"):
        result.entropy  # noqa: B018


def test_samples_within_one_call_are_independent():
    """Of 4,000 draws of one unit, 2,000 +- 155 are kept at a significance of 1e-6."""
    model = keras.Sequential([keras.Input((1, 6)), SpatialDropout(retaining_rate=0.5, seed=4)])
    drawn = mc_predict(model, np.ones((1, 1, 6)), 4000, return_samples=True).samples[:, 0, 0]
    assert set(drawn.ravel()) == {0, 2}
    kept = drawn > 0
    assert np.all(np.abs(kept.sum(0) - 2000) < 155)
    # Neighbours in a call agree as often as they differ.
    assert np.all(np.abs((kept[1:] == kept[:-1]).sum(0) - 1999.5) < 155)


def test_draws_that_a_batch_shares_are_made_one_by_one():
    shared = layers.Dropout(0.5, noise_shape=(1, 6), seed=1)
    model = keras.Sequential([keras.Input((6,)), shared])
    drawn = mc_predict(model, np.ones((2, 6)), 20, return_samples=True).samples
    np.testing.assert_array_equal(drawn[:, 0], drawn[:, 1])
    assert len({tuple(sample[0]) for sample in drawn}) > 10


def test_a_model_of_a_fixed_batch_size():
    model = keras.Sequential([keras.Input((4, 6), batch_size=3), DROP])
    mean, deviation = mc_predict(model, np.ones((6, 4, 6)), 50, batch_size=3)
    assert mean.shape == (6, 4, 6) and deviation.min() > 0.5


def test_datasets_and_iterators_are_read_once():
    model, x = insert_drops(small(), DROP), images(5)
    whole = mc_predict(model, x, samples=3, batch_size=2, seed=1)
    batches = mc_predict(model, ((x[at : at + 2], None) for at in (0, 2, 4)), 3, seed=1)
    assert batches.mean.shape == whole.mean.shape
    np.testing.assert_allclose(batches.mean, whole.mean, atol=3)


def test_the_traced_function_is_kept_until_something_changes():
    drop = layers.Dropout(0.5, seed=1)
    model = keras.Sequential([keras.Input((6,)), drop])
    x, traces = np.ones((1, 6)), []
    call = model.call
    model.call = lambda *args, **kwargs: traces.append(1) or call(*args, **kwargs)
    mc_predict(model, x, 20)
    number = len(traces)
    values = set(mc_predict(model, x, 20, return_samples=True).samples.ravel())
    assert values == {0, 2}
    if keras.backend.backend() != "torch":  # It traces nothing.
        assert len(traces) == number
    drop.rate = 0.75
    assert set(mc_predict(model, x, 40, return_samples=True).samples.ravel()) == {0, 4}
    np.testing.assert_array_equal(model.predict(x, verbose=0), x)


def test_a_copy_does_not_get_the_traced_function():
    class Task(keras.Model):
        """A class that surgery keeps, with its attributes."""

    inputs = keras.Input((6,))
    model = Task(inputs, layers.Dense(2)(layers.Dropout(0.5)(inputs)))
    mc_predict(model, np.ones((1, 6)), 2, which="all")
    assert ACTIVE_FUNCTION in vars(model)
    stripped = strip_drops(model, which="all")
    assert isinstance(stripped, Task) and ACTIVE_FUNCTION not in vars(stripped)


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
        ({"x": iter(())}, ValueError, "`x`"),
        ({"x": [[[[0.5]]]]}, TypeError, "`x` must be arrays"),
        ({"x": {"a": 1}}, TypeError, "`x` must be arrays"),
        ({"quantiles": 0.5}, TypeError, "`quantiles`"),
        ({"quantiles": [1.5]}, ValueError, "`quantiles`"),
        ({"batch_size": 0}, ValueError, "`batch_size`"),
        ({"from_logits": 1}, TypeError, "`from_logits`"),
        ({"verbose": 3}, ValueError, "`verbose`"),
    ],
)
def test_bad_arguments_are_refused(kwargs, error, words):
    given = {"model": insert_drops(small(), DROP), "x": images(), **kwargs}
    with pytest.raises(error, match=words):
        mc_predict(**given)


@pytest.mark.parametrize(
    "x",
    [
        None,
        "x",
        b"x",
        1.5,
        range(9),
        np.array(1),
        np.float32(1),
        dict,
        len,
        {1},
        keras.KerasTensor((2,)),
    ],
)
def test_inputs_without_a_batch_axis_are_refused(x):
    with pytest.raises(TypeError, match="Argument `x` must be arrays or tensors with a batch axis"):
        mc_predict(insert_drops(small(), DROP), x)


def test_a_model_with_its_own_predict_is_traced_once():
    class Scaled(keras.Model):
        """Prepares its inputs as KerasHub's tasks do."""

        def predict(self, x, **kwargs):
            return super().predict(np.asarray(x) / 4, **kwargs)

    inputs = keras.Input((6,))
    model = Scaled(inputs, layers.Dropout(0.5, seed=1)(inputs))
    traces, call = [], model.call
    model.call = lambda *args, **kwargs: traces.append(1) or call(*args, **kwargs)
    drawn = mc_predict(model, np.ones((2, 6)), 6, return_samples=True).samples
    assert set(drawn.ravel()) == {0, 0.5} and len({sample.tobytes() for sample in drawn}) > 1
    if keras.backend.backend() != "torch":  # It traces nothing.
        assert len(traces) <= 2
