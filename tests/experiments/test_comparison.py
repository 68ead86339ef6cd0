import dataclasses
import json
import shutil
import statistics

import keras
import numpy as np
import pytest

from keras_selectscale import data
from keras_selectscale.experiments import Comparison, run_comparison
from keras_selectscale.layers.methods import METHODS
from keras_selectscale.training import Recipe
from keras_selectscale.training.epoch_progress import make_progress

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("tiny_network")]

BASE = Recipe(network="tiny", dataset="digits", epochs=1, batch_size=64, train_size=100)
ORDER = ["none", "dropout", "spatial-dropout", "spatial-scale", "selectout", "selectscale"]
FEW = ("none", "selectscale", "drop-block")


def compare(comparison, folder):
    images = {
        ("digits", seed): data.load("digits", train_size=100, seed=seed)
        for seed in range(comparison.seeds)
    }
    cells = comparison.open(folder)
    with make_progress() as progress:
        return run_comparison(comparison, folder, cells, images, progress)


def custom_gradients():
    """Returns how many TensorFlow has registered, each of which keeps the graph that it is in."""
    if keras.backend.backend() != "tensorflow":
        return 0
    from tensorflow.python.framework import ops

    return sum(name.startswith("CustomGradient-") for name in ops.gradient_registry.list())


@pytest.fixture(scope="module")
def trained(tmp_path_factory, tiny_network):
    folder = tmp_path_factory.mktemp("runs") / "comparison"
    before = custom_gradients()
    summary = compare(Comparison(BASE, seeds=2, methods=FEW), folder)
    assert custom_gradients() == before
    return folder, summary


def test_the_cells_are_every_method_with_every_seed_in_the_papers_order():
    cells = list(Comparison(BASE, seeds=2).cells())
    assert [name for name, _ in cells] == [f"{m}-seed{s}" for s in (0, 1) for m in ORDER]
    for name, recipe in cells:
        assert name == f"{recipe.drop}-seed{recipe.seed}"
        neutral = dataclasses.replace(
            recipe, drop="none", seed=0, top_rate=None, retaining_rate=None, score=None
        )
        assert neutral == BASE
    rates = {r.drop: (r.top_rate, r.retaining_rate) for _, r in cells}
    assert rates["selectscale"] == (0.2, 0.4) and rates["spatial-dropout"] == (None, 0.9)


def test_the_summary_is_that_of_the_runs(trained):
    folder, summary = trained
    assert json.loads((folder / "comparison.json").read_text()) == summary
    assert tuple(summary["methods"]) == FEW
    assert (summary["train_images"], summary["test_images"]) == (100, 899)
    for method, row in summary["methods"].items():
        errors = [
            json.loads((folder / "cells" / f"{method}-seed{seed}" / "result.json").read_text())[
                "test_error"
            ]
            for seed in (0, 1)
        ]
        assert row["test_errors"] == errors
        assert row["mean"] == pytest.approx(np.mean(errors))
        assert row["standard_deviation"] == pytest.approx(np.std(errors, ddof=1))
        assert row["title"] == METHODS[method].title


def test_it_says_the_spread_and_what_it_does_not_show(trained):
    _, summary = trained
    rows = summary["methods"].values()
    means = [row["mean"] for row in rows]
    pooled = statistics.fmean(row["standard_deviation"] ** 2 for row in rows) ** 0.5
    assert f"{max(means) - min(means):.2f} points apart" in summary["limits"]
    assert f"pooled, is {pooled:.2f}" in summary["limits"]
    assert "does not show" in summary["limits"]


def test_the_best_run_is_exported_and_proved(trained):
    folder, summary = trained
    errors = {
        f"{method}-seed{seed}": error
        for method, row in summary["methods"].items()
        for seed, error in enumerate(row["test_errors"])
    }
    assert errors[summary["best_run"]] == min(errors.values())
    if keras.backend.backend() != "tensorflow":
        assert "TensorFlow" in summary["export"]["skipped"]
        return
    assert summary["export"]["passed"] and summary["export"]["random_nodes"] == []
    assert (folder / "saved_model" / "saved_model.pb").exists()
    assert not list(folder.glob(".*"))


def test_when_complete_it_reports_without_training(trained, monkeypatch):
    folder, summary = trained
    monkeypatch.setattr(keras.Model, "fit", lambda *a, **k: pytest.fail("trained again"))
    again = compare(Comparison(BASE, seeds=2, methods=FEW), folder)
    assert again == summary


def test_when_interrupted_it_trains_the_cells_that_are_missing(trained, tmp_path, monkeypatch):
    folder, summary = trained
    shutil.copytree(folder, tmp_path / "again")
    for name in ("drop-block-seed1", "selectscale-seed0"):
        shutil.rmtree(tmp_path / "again" / "cells" / name)
    (tmp_path / "again" / "comparison.json").unlink()
    fits = []
    fit = keras.Model.fit
    monkeypatch.setattr(
        keras.Model, "fit", lambda self, *a, **k: (fits.append(1), fit(self, *a, **k))[1]
    )
    again = compare(Comparison(BASE, seeds=2, methods=FEW), tmp_path / "again")
    assert len(fits) == 2
    assert again["methods"] == summary["methods"]  # The seeds decide the cells.


def test_another_recipe_in_its_folder_is_refused_before_anything_is_trained(trained):
    folder, _ = trained
    other = Comparison(dataclasses.replace(BASE, epochs=2), seeds=2, methods=FEW)
    with pytest.raises(ValueError, match="epochs: 1 there, 2 here"):
        other.open(folder)


def test_no_seeds_are_refused():
    with pytest.raises(ValueError, match="`seeds`.*0"):
        Comparison(BASE, seeds=0)
