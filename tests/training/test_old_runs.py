"""Runs of an earlier version are continued, evaluated and exported."""

import importlib.util
import json
import os
import pathlib
import shutil
import subprocess
import sys
import zipfile

import keras
import numpy as np
import pytest

import keras_selectscale
from keras_selectscale import data
from keras_selectscale.cli.group import cli
from keras_selectscale.cli.group import run as run_command
from keras_selectscale.training import Recipe, RunFolder, checkpoints, evaluate, load_checkpoint

pytestmark = pytest.mark.slow

ROOT = pathlib.Path(__file__).parents[2]
OLD = pathlib.Path(__file__).parent / "old_runs"
BACKENDS = ["tensorflow", "jax"]
# Roundings of another processor or another version of a package.
TOLERANCE = {"rtol": 0.02, "atol": 0.02}


@pytest.fixture(scope="module", params=BACKENDS)
def continued(request, tmp_path_factory):
    """A killed run, how it ends now, and how it ended with the earlier version."""
    backend = request.param
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"the package {backend} is not installed")
    folder = tmp_path_factory.mktemp(backend) / "run"
    shutil.copytree(OLD / f"{backend}-killed", folder)
    # Threads change roundings; the earlier version used as many as it liked.
    threads = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")
    environment = {name: value for name, value in os.environ.items() if name not in threads}
    done = subprocess.run(
        [sys.executable, "-m", "tests.training.continue_run", str(folder)],
        cwd=ROOT,
        env={**environment, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    before = json.loads((OLD / f"{backend}-killed-continued.json").read_text())
    return folder, json.loads(done.stdout.splitlines()[-1]), before


def numbers(rows):
    return np.array([[float(value) for value in row.values()] for row in rows])


def test_a_killed_run_continues_as_it_did(continued):
    folder, now, before = continued
    assert [list(row) for row in now["history"]] == [list(row) for row in before["history"]]
    # The first epoch comes from the folder.
    np.testing.assert_array_equal(numbers(now["history"])[0], numbers(before["history"])[0])
    np.testing.assert_allclose(numbers(now["history"]), numbers(before["history"]), **TOLERANCE)
    assert now["result"]["epochs"] == 3
    new = {"startup_seconds", "test_class_errors", "test_nll", "test_ece", "ece_bins"}
    assert set(now["result"]) == {*before["result"], *new}
    assert sorted(path.name for path in folder.iterdir()) == [
        "checkpoint.keras",
        "config.json",
        "history.csv",
        "result.json",
    ]


def test_it_ends_with_the_same_bits(continued):
    _, now, before = continued
    if now["environment"]["backend"] == "jax":
        pytest.skip("JAX fuses the selection otherwise than in that version: other roundings")
    for name, value in before["environment"].items():
        if now["environment"][name] != value:
            pytest.skip(f"made on another machine or with other packages ({name}: {value})")
    assert now["digest"] == before["digest"]
    np.testing.assert_array_equal(numbers(now["history"]), numbers(before["history"]))
    assert now["result"]["test_error"] == before["result"]["test_error"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_finished_run_is_evaluated(backend, monkeypatch, capsys):
    monkeypatch.chdir(OLD)
    assert run_command(cli, ["evaluate", f"{backend}-finished"]) == 0
    out = capsys.readouterr().out
    assert "after 3 of 3 epochs" in out
    recorded = RunFolder(OLD / f"{backend}-finished").read_result()
    images = data.load("digits", train_size=200, seed=3)
    found = evaluate(load_checkpoint(RunFolder(OLD / f"{backend}-finished")), images)
    assert found["loss"] == pytest.approx(recorded["test_loss"], rel=1e-3)
    assert found["error"] == pytest.approx(recorded["test_error"], abs=0.5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_finished_run_is_exported(tmp_path, backend):
    model = load_checkpoint(RunFolder(OLD / f"{backend}-finished"))
    report = keras_selectscale.export(model, tmp_path / "model.keras", format="keras")
    assert report.passed
    x = np.random.default_rng(0).normal(size=(2, 8, 8, 1)).astype("float32")
    exported = keras.models.load_model(tmp_path / "model.keras")
    for ours, theirs in zip(exported(x), model(x), strict=True):
        np.testing.assert_array_equal(
            keras.ops.convert_to_numpy(ours), keras.ops.convert_to_numpy(theirs)
        )


def edit(folder, change):
    """Changes the recipe in the config and in the checkpoint of a run."""
    run = RunFolder(folder)
    config = json.loads(run.config_path.read_text())
    change(config["recipe"])
    run.config_path.write_text(json.dumps(config))
    with zipfile.ZipFile(run.checkpoint_path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    content = json.loads(entries[checkpoints.ENTRY])
    change(content["recipe"])
    entries[checkpoints.ENTRY] = json.dumps(content).encode()
    with zipfile.ZipFile(run.checkpoint_path, "w") as archive:
        for name, value in entries.items():
            archive.writestr(name, value)
    return run


def test_a_run_from_before_a_field_existed_is_of_the_same_recipe(tmp_path):
    shutil.copytree(OLD / "tensorflow-killed", tmp_path / "run")
    recipe = Recipe.from_json(RunFolder(tmp_path / "run").read_recipe())

    def without(fields):
        fields.pop("image_size"), fields.pop("group_factors"), fields.pop("score")

    run = edit(tmp_path / "run", without)
    run.open(recipe)
    assert run.recipe() == recipe
    _, state = checkpoints.restore(run, recipe, pytest.fail)
    assert (state.step, len(state.rows)) == (7, 1)


def test_a_run_with_an_unknown_field_is_refused_by_its_name(tmp_path, capsys):
    shutil.copytree(OLD / "tensorflow-finished", tmp_path / "run")
    edit(tmp_path / "run", lambda fields: fields.update(colour=3))
    assert run_command(cli, ["evaluate", str(tmp_path / "run")]) == 2
    err = capsys.readouterr().err
    assert "config.json is damaged: the field `recipe.colour` is unknown" in err
    assert err.count("\n") == 1
