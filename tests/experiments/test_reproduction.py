import dataclasses

import pytest

from keras_selectscale import data, recipes
from keras_selectscale.experiments import Reproduction, run_reproduction
from keras_selectscale.recipes import PublishedCell
from keras_selectscale.training import Recipe
from keras_selectscale.training.epoch_progress import make_progress

pytestmark = pytest.mark.slow

CELL = PublishedCell(
    name="table0/resnet-8/selectscale",
    source="Table 0",
    recipe=Recipe(network="resnet-8", dataset="digits", drop="selectscale", epochs=200),
    error=4.2,
    deviation=0.1,
    runs=5,
)


def test_a_run_is_the_recipe_with_a_seed():
    full = Reproduction((CELL,))
    assert full.recipes(CELL) == [dataclasses.replace(CELL.recipe, seed=s) for s in range(5)]
    assert full.difference(CELL) == ""


def test_what_is_shorter_or_smaller_is_said():
    short = Reproduction((CELL,), runs=2, epochs=20, train_size=5000)
    assert short.difference(CELL) == "20 of 200 epochs, 5,000 training images, 2 of 5 runs"
    assert {(r.epochs, r.train_size) for r in short.recipes(CELL)} == {(20, 5000)}


def test_the_subset_of_a_recipe_stays_unless_another_one_is_asked_for():
    own = dataclasses.replace(CELL, recipe=dataclasses.replace(CELL.recipe, train_size=100))
    assert Reproduction((own,)).recipe(own, 0).train_size == 100
    assert Reproduction((own,), train_size=50).recipe(own, 0).train_size == 50


def test_a_cell_shares_its_folders_with_its_table(tmp_path):
    cells = {
        name: Reproduction(tuple(recipes.select(name)), runs=1, epochs=2).open(tmp_path)
        for name in ("table1/wrn-20-4/selectscale", "table1")
    }
    (alone,) = cells["table1/wrn-20-4/selectscale"]
    assert alone.run.path in [cell.run.path for cell in cells["table1"]]
    assert len({cell.run.path for cell in cells["table1"]}) == 15


def test_ours_stands_beside_the_papers(tmp_path):
    reproduction = Reproduction((CELL,), runs=2, epochs=1, train_size=100)
    images = {("digits", seed): data.load("digits", train_size=100, seed=seed) for seed in range(2)}
    cells = reproduction.open(tmp_path)
    with make_progress() as progress:
        (row,) = run_reproduction(reproduction, cells, images, progress)["rows"]
    errors = [cell.run.read_result()["test_error"] for cell in cells]
    assert row["errors"] == errors and row["runs"] == 2
    assert row["mean"] == pytest.approx(sum(errors) / 2)
    assert row["deviation"] == pytest.approx(abs(errors[0] - errors[1]) / 2**0.5)
    assert (row["paper_error"], row["paper_deviation"], row["paper_runs"]) == (4.2, 0.1, 5)
    assert "1 of 200 epochs" in row["difference"]


@pytest.mark.parametrize(
    "numbers, match",
    [({"runs": 0}, "`runs`.*0"), ({"epochs": 0}, "`epochs`"), ({"train_size": 0}, "`train_size`")],
)
def test_bad_numbers_are_named(numbers, match):
    with pytest.raises(ValueError, match=match):
        Reproduction((CELL,), **numbers)
