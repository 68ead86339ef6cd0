import dataclasses
import json

import keras
import numpy as np
import pytest

from keras_selectscale import SelectScale, SpatialDropout
from keras_selectscale.training import Recipe


def learning_rates(recipe, steps_per_epoch):
    schedule = recipe.make_optimizer(steps_per_epoch)._learning_rate
    total = recipe.epochs * steps_per_epoch
    return np.array([float(keras.ops.convert_to_numpy(schedule(i))) for i in range(total)])


def test_the_step_schedule_is_the_papers_at_200_epochs():
    rates = learning_rates(Recipe(network="resnet-8", dataset="digits"), 2)
    expected = np.concatenate(
        [np.full(120, 0.1), np.full(120, 0.02), np.full(80, 0.004), np.full(80, 0.0008)]
    )
    np.testing.assert_allclose(rates, expected, rtol=1e-6)


def test_without_milestones_the_learning_rate_stays():
    recipe = Recipe(network="resnet-8", dataset="digits", epochs=3, milestones=())
    np.testing.assert_allclose(learning_rates(recipe, 4), np.full(12, 0.1), rtol=1e-6)


def test_the_cosine_schedule_goes_to_zero_without_a_restart():
    rates = learning_rates(
        Recipe(network="resnet-8", dataset="digits", epochs=10, schedule="cosine"), 4
    )
    expected = 0.05 * (1 + np.cos(np.pi * np.arange(40) / 40))
    np.testing.assert_allclose(rates, expected, atol=1e-7)


@pytest.mark.parametrize("epochs", [1, 2, 3])
def test_a_short_run_keeps_the_shares_of_the_schedule(epochs):
    rates = learning_rates(Recipe(network="resnet-8", dataset="digits", epochs=epochs), 100)
    for rate, share in zip([0.1, 0.02, 0.004, 0.0008], [0.3, 0.3, 0.2, 0.2], strict=True):
        assert np.isclose(rates, rate).sum() == round(share * 100 * epochs)


def test_the_optimizer_is_the_papers():
    optimizer = Recipe(network="resnet-8", dataset="digits").make_optimizer(10)
    assert (optimizer.momentum, optimizer.nesterov, optimizer.l2) == (0.9, True, 5e-4)
    assert optimizer.weight_decay is None


def test_the_drops_own_rates_are_filled_in():
    assert Recipe(network="resnet-8", dataset="digits").make_drop(1) is None
    recipe = Recipe(network="resnet-8", dataset="digits", drop="selectscale")
    assert (recipe.top_rate, recipe.retaining_rate, recipe.score) == (0.2, 0.4, "max")
    recipe = Recipe(network="resnet-8", dataset="digits", drop="dropout")
    assert (recipe.top_rate, recipe.retaining_rate, recipe.score) == (None, 0.9, None)


def test_the_drop_is_made_as_the_recipe_says():
    recipe = Recipe(
        network="resnet-8",
        dataset="digits",
        drop="selectscale",
        top_rate=0.3,
        retaining_rate=0.1,
        score="global_average",
        seed=9,
    )
    layer = recipe.make_drop(100)
    assert type(layer) is SelectScale
    assert (layer.top_rate, layer.retaining_rate, layer.score, layer.seed) == (
        0.3,
        0.1,
        "global_average",
        9,
    )


@pytest.mark.parametrize("curriculum, middle", [("linear", 0.75), ("exponential", None)])
def test_a_curriculum_runs_over_the_whole_training(curriculum, middle):
    recipe = Recipe(
        network="resnet-8",
        dataset="digits",
        drop="spatial-dropout",
        retaining_rate=0.5,
        curriculum=curriculum,
    )
    layer = recipe.make_drop(total_steps=1000)
    assert type(layer) is SpatialDropout
    value = [float(keras.ops.convert_to_numpy(layer.retaining_rate(s))) for s in (0, 500, 1000)]
    middle = 0.5 + 0.5 * np.exp(-5) if middle is None else middle
    np.testing.assert_allclose(value, [1.0, middle, 0.5], atol=1e-4)


def test_a_recipe_survives_json():
    recipe = Recipe(network="wrn-20-4", dataset="cifar10", drop="selectout", train_size=100)
    assert Recipe.from_json(json.loads(json.dumps(recipe.as_json()))) == recipe


def test_a_recipe_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Recipe(network="resnet-8", dataset="digits").epochs = 3


@pytest.mark.parametrize(
    "values, error, match",
    [
        ({"epochs": 0}, ValueError, "`epochs`.*0"),
        ({"epochs": 1.5}, TypeError, "`epochs`.*1.5"),
        ({"batch_size": 0}, ValueError, "`batch_size`"),
        ({"learning_rate": 0}, ValueError, "`learning_rate`"),
        ({"learning_rate": float("nan")}, ValueError, "`learning_rate`.*nan"),
        ({"learning_rate": float("inf")}, ValueError, "`learning_rate`.*inf"),
        ({"learning_rate": "0.1"}, TypeError, "`learning_rate`"),
        ({"learning_rate": 1e308}, ValueError, "`learning_rate`"),
        ({"epochs": 10**20}, ValueError, "`epochs`.*100000000000000000000"),
        ({"batch_size": 2**31}, ValueError, "`batch_size`"),
        ({"seed": 2**31}, ValueError, "`seed`.*2147483648"),
        ({"momentum": 1.5}, ValueError, "`momentum`"),
        ({"weight_decay": -1}, ValueError, "`weight_decay`"),
        ({"schedule": "linear"}, ValueError, "`schedule`.*cosine.*linear"),
        ({"curriculum": "slow", "drop": "dropout"}, ValueError, "`curriculum`.*slow"),
        ({"curriculum": "linear"}, ValueError, "`curriculum`.*none"),
        ({"milestones": (0.5, 0.2)}, ValueError, "`milestones`"),
        ({"milestones": (0.5, 1.0)}, ValueError, "`milestones`"),
        ({"train_size": 0}, ValueError, "`train_size`"),
        ({"seed": -1}, ValueError, "`seed`.*-1"),
        ({"drop": "dropblock"}, ValueError, "`drop`.*selectscale.*dropblock"),
        ({"drop": "dropout", "top_rate": 0.2}, ValueError, "`top_rate`.*selectout.*'dropout'"),
        ({"retaining_rate": 0.2}, ValueError, "`retaining_rate`.*'none'"),
        ({"drop": "dropout", "score": "max"}, ValueError, "`score`"),
        ({"drop": "selectscale", "top_rate": 1.5}, ValueError, "`top_rate`.*1.5"),
        ({"drop": "selectscale", "score": "median"}, ValueError, "`score`.*median"),
        ({"drop": "selectout", "top_rate": 0.1, "retaining_rate": 0.8}, ValueError, "0.1.*0.8"),
        ({"drop": "dropout", "retaining_rate": 0.0}, ValueError, "`retaining_rate`.*0.0"),
    ],
)
def test_bad_values_are_named(values, error, match):
    with pytest.raises(error, match=match):
        Recipe(**({"network": "resnet-8", "dataset": "digits"} | values))
