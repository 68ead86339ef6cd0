import dataclasses
import fractions
import json

import keras
import numpy as np
import pytest

from keras_selectscale import SelectScale, SpatialDropout, data
from keras_selectscale.training import Recipe
from keras_selectscale.training.model import build_model
from keras_selectscale.training.recipe import FORMER


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


@dataclasses.dataclass(frozen=True)
class Newer(Recipe):
    """A later version, with a field that changed what runs do."""

    balance: str = dataclasses.field(default="new", metadata={FORMER: "old"})
    sharpness: float = 0.5


def test_an_old_recipe_takes_the_values_under_which_its_run_was_made():
    old = Recipe(network="resnet-8", dataset="digits", drop="selectscale")
    newer = Newer.from_json(old.as_json())
    assert (newer.balance, newer.sharpness) == ("old", 0.5)
    assert Newer(network="resnet-8", dataset="digits").balance == "new"
    with pytest.raises(ValueError, match="`balance` is unknown"):
        Recipe.from_json(newer.as_json())


@pytest.mark.parametrize(
    "values, match",
    [
        (None, "expected"),
        ([], "expected"),
        ({"network": "resnet-8"}, "`dataset` is missing"),
        ({"network": "resnet-8", "dataset": 3}, "`dataset`: expected str, received 3"),
        (
            {"network": "resnet-8", "dataset": "digits", "milestones": [0.1, "x"]},
            r"`milestones\[1\]`: expected float",
        ),
    ],
)
def test_what_is_not_a_recipe_is_named(values, match):
    with pytest.raises(ValueError, match=match):
        Recipe.from_json(values)


def test_numbers_of_numpy_become_numbers_of_python():
    recipe = Recipe(
        network="resnet-8",
        dataset="digits",
        drop="selectscale",
        top_rate=np.float32(0.25),
        learning_rate=np.float64(0.5),
        seed=np.int64(3),
        milestones=np.array([0.25, 0.5]),
        group_factors=[[np.int32(3), np.float32(0.5)]],
    )
    assert Recipe.from_json(json.loads(json.dumps(recipe.as_json()))) == recipe
    assert (type(recipe.seed), type(recipe.learning_rate), type(recipe.top_rate)) == (
        int,
        float,
        float,
    )
    assert recipe.group_factors == ((3, 0.5),)


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
        ({"network": None}, TypeError, "`network`.*None"),
        ({"network": ["resnet-8"]}, TypeError, "`network`"),
        ({"dataset": 3}, TypeError, "`dataset`.*3"),
        ({"drop": ["dropout"]}, ValueError, "`drop`.*dropout"),
        ({"drop": np.ones(3)}, ValueError, "`drop`"),
        ({"schedule": keras.ops.ones(3)}, ValueError, "`schedule`"),
        ({"score": 3, "drop": "selectscale"}, TypeError, "`score`.*3"),
        ({"learning_rate": fractions.Fraction(1, 10)}, TypeError, "`learning_rate`.*Fraction"),
        ({"learning_rate": lambda step: 0.1}, TypeError, "`learning_rate`.*function"),
        ({"learning_rate": True}, TypeError, "`learning_rate`.*True"),
        ({"drop": "dropout", "retaining_rate": lambda s: 0.5}, TypeError, "`retaining_rate`"),
        ({"drop": "dropout", "retaining_rate": fractions.Fraction(1, 2)}, TypeError, "`retaining"),
        ({"milestones": 0.5}, TypeError, "`milestones`.*0.5"),
        ({"milestones": "abc"}, TypeError, "`milestones`"),
        ({"milestones": (0.5, None)}, TypeError, "`milestones`"),
        ({"group_factors": (("a", 5.0),)}, TypeError, "`group_factors`.*'a'"),
        ({"drop": "dropout", "group_factors": ((3, 5.0),)}, ValueError, "`group_factors`.*5.0"),
        ({"drop": "dropout", "group_factors": ((3,),)}, ValueError, "`group_factors`"),
        ({"drop": "dropout", "group_factors": ()}, ValueError, "`group_factors`"),
        ({"group_factors": ((3, 0.5),)}, ValueError, "`group_factors`.*none"),
    ],
)
def test_bad_values_are_named(values, error, match):
    with pytest.raises(error, match=match):
        Recipe(**({"network": "resnet-8", "dataset": "digits"} | values))


def test_a_recipe_from_before_the_kernel_is_of_keras_and_stays_so():
    recipe = Recipe(network="resnet-8", dataset="digits", epochs=3)
    assert recipe.normalization == "fused"
    values = recipe.as_json()
    del values["normalization"]
    old = Recipe.from_json(values)
    assert old.normalization == "keras"
    assert recipe.as_begun(old) == old
    with pytest.raises(ValueError, match="`normalization` must be one of"):
        dataclasses.replace(recipe, normalization="Keras")


def test_the_place_of_the_last_drop_goes_with_a_drop_and_a_network_that_has_it():
    values = {"network": "resnet-8", "dataset": "digits", "drop": "selectscale"}
    assert Recipe(**values).last_drop == "before_addition"
    old = Recipe(**values).as_json()
    del old["last_drop"]
    assert Recipe.from_json(old) == Recipe(**values)
    recipe = Recipe(**values, last_drop="after_addition")
    model = build_model(recipe, data.load("digits", train_size=10), 1)
    layers = [layer.name for layer in model.layers]
    assert layers.index("group1_block1_2_drop") > layers.index("group1_block1_relu")
    for change in ({"drop": "none"}, {"network": "vgg-16"}, {"last_drop": "x"}):
        with pytest.raises(ValueError, match="`last_drop`"):
            Recipe(**{**values, "last_drop": "after_addition", **change})
