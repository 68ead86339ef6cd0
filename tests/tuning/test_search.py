import dataclasses
import json

import pytest

from keras_selectscale.training import Recipe
from keras_selectscale.tuning import Search, SearchFolder

RECIPE = Recipe(network="resnet-8", dataset="digits", epochs=4, batch_size=64)


def test_it_goes_through_a_file_and_back():
    search = Search(
        RECIPE,
        tuner="grid",
        methods=("selectscale", "none"),
        top_rates=[0.2, 0.1],
        tune={"learning_rate": [0.1, 0.03]},
        trials=7,
        seeds=2,
        early_stopping=3,
    )
    again = Search.from_json(json.loads(json.dumps(search.as_json())))
    assert again == search and again.top_rates == (0.1, 0.2)


def test_what_a_former_version_did_not_write_is_the_default():
    values = Search(RECIPE).as_json()
    del values["figure4"], values["recipe"]["group_factors"]
    assert Search.from_json(values) == Search(RECIPE)


def test_a_search_from_before_the_kernel_stays_with_keras():
    values = Search(RECIPE).as_json()
    del values["recipe"]["normalization"]
    began = Search.from_json(values)
    assert began.recipe.normalization == "keras"
    assert Search(RECIPE).as_begun(began) == began


def test_a_trials_recipe():
    search = Search(RECIPE, tune={"learning_rate": (0.1, 0.03), "batch_size": (32, 64)})
    recipe = search.trial_recipe(
        {
            "drop": "selectout",
            "selectout/top_rate": 0.5,
            "selectout/share": 0.6,
            "recipe/learning_rate": 0.029999999329447746,
            "recipe/batch_size": 32,
        }
    )
    assert recipe == dataclasses.replace(
        RECIPE,
        drop="selectout",
        top_rate=0.5,
        retaining_rate=0.7,
        learning_rate=0.03,
        batch_size=32,
    )


def test_how_many_trials():
    grid = {"tuner": "grid", "methods": ("selectscale", "none")}
    assert Search(RECIPE, **grid).total() == 101
    assert Search(RECIPE, **grid, tune={"momentum": (0.0, 0.9)}).total() == 202
    # Ten top rates at retaining rate 0, ten retaining rates at top rate 0.2, one on both; no drop.
    assert Search(RECIPE, **grid, figure4=True).total() == 10 + 10 - 1 + 1
    assert Search(RECIPE, **grid, trials=9).total() == 9
    selectout = {"tuner": "grid", "methods": ("selectout",), "tune": {"momentum": (0.0, 0.9)}}
    # With top rate 0.2 the retaining rate is 0.8 for each of the five shares.
    rates = {"top_rates": (0.2, 0.5), "retaining_rates": (0.5, 0.8)}
    assert Search(RECIPE, **selectout, **rates).total() == 2 * (1 + 5)
    assert Search(RECIPE).total() == 30
    assert Search(RECIPE, tuner="hyperband").total() is None


@pytest.mark.parametrize(
    "arguments, error, words",
    [
        ({"tuner": "sobol"}, ValueError, ["`tuner`", "bayesian", "sobol"]),
        ({"trials": 0}, ValueError, ["`trials`", "0"]),
        ({"trials": 1.5}, TypeError, ["`trials`", "1.5"]),
        ({"seeds": 0}, ValueError, ["`seeds`", "0"]),
        ({"early_stopping": 0}, ValueError, ["`early_stopping`"]),
        ({"validation_share": 1.0}, ValueError, ["`validation_share`", "1.0"]),
        ({"figure4": True}, ValueError, ["`figure4`", "'random'"]),
        ({"tune": {"epochs": (1, 2)}}, ValueError, ["`tune`", "epochs", "learning_rate"]),
        ({"tune": {"learning_rate": (0.1, -1.0)}}, ValueError, ["`learning_rate`", "-1"]),
        ({"tune": {"learning_rate": ()}}, ValueError, ["`tune`"]),
        ({"tune": {"learning_rate": (0.1, 0.01, 0.1)}}, ValueError, ["`learning_rate`", "once"]),
        ({"top_rates": (0.1, 0.1)}, ValueError, ["`top_rates`", "once"]),
        (
            {
                "tuner": "grid",
                "figure4": True,
                "methods": ("selectscale",),
                "top_rates": (0.1, 0.3),
                "retaining_rates": (0.1, 0.2),
            },
            ValueError,
            ["`top_rates`", "`retaining_rates`", "`figure4`", "curves", "(0.1, 0.3)"],
        ),
        (
            {"methods": ("selectout",), "top_rates": (0.1,), "retaining_rates": (0.2,)},
            ValueError,
            ["top_rates", "retaining_rates", "feasible"],
        ),
        (
            {"recipe": dataclasses.replace(RECIPE, drop="selectscale")},
            ValueError,
            ["`recipe`", "selectscale"],
        ),
    ],
)
def test_refuses_bad_values(arguments, error, words):
    with pytest.raises(error) as raised:
        Search(**{"recipe": RECIPE, **arguments})
    assert all(word in str(raised.value) for word in words), raised.value


def test_no_drop_is_among_the_methods_by_default():
    recipe = Recipe(network="resnet-8", dataset="digits")
    assert Search(recipe).methods == ("selectscale", "selectout", "none")
    assert Search(recipe, "grid", figure4=True).methods == ("selectscale", "none")


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("methods", {"methods": ("selectscale", "selectout")}),
        ("top_rates", {"top_rates": (0.1, 0.2), "retaining_rates": (0.5,)}),
        ("retaining_rates", {"top_rates": (0.1,), "retaining_rates": (0.0, 0.5)}),
    ],
)
def test_figure_4_ignores_no_value_silently(name, values, tmp_path):
    search = Search(Recipe(network="resnet-8", dataset="digits"), "grid", figure4=True, **values)
    with pytest.raises(ValueError, match=f"Argument `{name}` must be on the curves of `figure4`"):
        SearchFolder(tmp_path / "new").open(search, {})
    # A search that an earlier version began continues.
    (tmp_path / "old").mkdir()
    content = {"search": search.as_json(), "environment": {}, "data_dir": None}
    (tmp_path / "old" / "search.json").write_text(json.dumps(content))
    SearchFolder(tmp_path / "old").open(search, {})


def test_figure_4_takes_values_on_its_curves(tmp_path):
    recipe = Recipe(network="resnet-8", dataset="digits")
    values = {"top_rates": (0.1, 0.2), "retaining_rates": (0.0, 0.5)}
    SearchFolder(tmp_path).open(Search(recipe, "grid", figure4=True, **values), {})
