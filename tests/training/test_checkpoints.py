import json
import shutil
import zipfile

import keras
import numpy as np
import pytest

from keras_selectscale.training import (
    DamagedRunError,
    Recipe,
    RunFolder,
    checkpoints,
    load_checkpoint,
)
from keras_selectscale.training.checkpoints import RunState
from keras_selectscale.training.run_folder import HistoryRow

RECIPE = Recipe(network="none", dataset="digits", epochs=3)


@pytest.fixture
def model():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.5), "mse")
    model.train_on_batch(np.ones((4, 2)), np.ones((4, 1)))
    return model


@pytest.fixture
def run(tmp_path, model):
    """A run with checkpoints of the steps 1 and 2, whose biases are 1 and 2."""
    run = RunFolder(tmp_path / "run")
    run.open(RECIPE, {})
    for step in (1, 2):
        model.layers[0].bias.assign([float(step)])
        checkpoints.write_checkpoint(run, RECIPE, model, RunState(step=step))
    return run


def restored(run):
    lines = []
    model, state = checkpoints.restore(run, RECIPE, lines.append)
    (bias,) = keras.ops.convert_to_numpy(model.layers[0].bias.value)
    return state.step, bias, lines


def test_the_last_one_comes_back_with_its_state(run):
    assert restored(run) == (2, 2.0, [])
    assert sorted(path.name for path in run.path.iterdir()) == [
        "checkpoint-previous.keras",
        "checkpoint.keras",
        "config.json",
    ]


def test_keras_alone_reads_it(run):
    loaded = keras.models.load_model(run.checkpoint_path)
    assert int(loaded.optimizer.iterations) == 1
    assert float(keras.ops.convert_to_numpy(loaded.layers[0].bias.value)[0]) == 2.0


def test_without_one_there_is_nothing_to_restore(tmp_path):
    run = RunFolder(tmp_path / "new")
    run.open(RECIPE, {})
    assert checkpoints.restore(run, RECIPE, print) is None
    with pytest.raises(FileNotFoundError, match="new has no checkpoint yet"):
        load_checkpoint(run)


def test_a_run_killed_between_two_renames_has_the_one_before(run):
    run.checkpoint_path.unlink()
    assert restored(run) == (1, 1.0, [])
    assert load_checkpoint(run).layers[0].bias.numpy() == 1.0


def truncate(path):
    path.write_bytes(path.read_bytes()[:-100])


def cut_in_half(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path):
    path.write_bytes(b"")


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        entry = archive.getinfo("model.weights.h5")
    content[entry.header_offset + 200] ^= 1
    path.write_bytes(content)


def a_keras_file(path):
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).save(path)


def that_is_not_compiled(path):
    with zipfile.ZipFile(path) as archive:
        text = archive.read(checkpoints.ENTRY).decode()
    a_keras_file(path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(checkpoints.ENTRY, text)


def of_another_recipe(path):
    edit(path, lambda content: content["recipe"].update(epochs=4))


def of_an_unknown_recipe(path):
    edit(path, lambda content: content["recipe"].update(colour=3))


def with_a_step_that_is_text(path):
    edit(path, lambda content: content["state"].update(step="2"))


def with_a_row_that_is_a_number(path):
    edit(path, lambda content: content["state"].update(rows=[0]))


def without_a_state(path):
    edit(path, lambda content: content.pop("state"))


def nested(path):
    replace(path, "[" * 200_000)


def edit(path, change):
    with zipfile.ZipFile(path) as archive:
        values = json.loads(archive.read(checkpoints.ENTRY))
    change(values)
    replace(path, json.dumps(values))


def replace(path, text):
    """Replaces the entry of the run."""
    beside = path.with_name("edited.keras")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(beside, "w") as new:
        for name in old.namelist():
            new.writestr(name, text if name == checkpoints.ENTRY else old.read(name))
    shutil.move(beside, path)


DAMAGES = [
    truncate,
    cut_in_half,
    empty,
    flip_a_bit,
    a_keras_file,
    that_is_not_compiled,
    of_another_recipe,
    of_an_unknown_recipe,
    with_a_step_that_is_text,
    with_a_row_that_is_a_number,
    without_a_state,
    nested,
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_one_is_refused_by_name_and_the_one_before_is_used(run, damage):
    damage(run.checkpoint_path)
    content = run.checkpoint_path.read_bytes()
    step, bias, (line,) = restored(run)
    assert (step, bias) == (1, 1.0)
    assert f"{run.checkpoint_path} is damaged: " in line and "\n" not in line
    assert "the previous checkpoint is used" in line
    # What was refused is kept, and out of the way of the next one.
    assert (run.path / "refused.keras").read_bytes() == content
    assert restored(run) == (1, 1.0, [])


@pytest.mark.parametrize("damage", DAMAGES)
def test_with_no_good_one_left_the_run_is_damaged(run, damage):
    run.previous_checkpoint_path.unlink()
    damage(run.checkpoint_path)
    with pytest.raises(DamagedRunError, match=r"checkpoint.keras is damaged: .*remove it to train"):
        restored(run)
    assert run.checkpoint_path.exists()


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), OSError("h5py says no")])
def test_a_failed_write_leaves_both(run, model, monkeypatch, error):
    before = {path.name: path.read_bytes() for path in run.path.iterdir()}

    def fail(path):
        path.write_bytes(b"half")
        raise error

    monkeypatch.setattr(model, "save", fail)
    with pytest.raises(OSError, match=r"checkpoint.keras cannot be written: (No space|h5py says)"):
        checkpoints.write_checkpoint(run, RECIPE, model, RunState(step=3))
    assert {path.name: path.read_bytes() for path in run.path.iterdir()} == before


def test_a_wrong_value_is_named_with_its_field(run):
    edit(run.checkpoint_path, lambda content: content["state"].update(rows=[{"epoch": 1}, 0]))
    with pytest.raises(DamagedRunError, match=r"state\.rows\[0\]\.loss` is missing"):
        checkpoints.read_checkpoint(run.checkpoint_path, RECIPE)
    rows = [{"epoch": 1, "loss": 2, "accuracy": 0.5, "learning_rate": 0.1}, 0]
    edit(run.checkpoint_path, lambda content: content["state"].update(rows=rows))
    with pytest.raises(DamagedRunError, match=r"state\.rows\[1\]`: expected object, received 0"):
        checkpoints.read_checkpoint(run.checkpoint_path, RECIPE)


def test_fields_of_an_older_version_may_be_missing(run):
    edit(run.checkpoint_path, lambda content: content["state"].pop("seconds"))
    edit(run.checkpoint_path, lambda content: content["recipe"].pop("image_size"))
    assert restored(run) == (2, 2.0, [])


def test_every_number_of_a_state_comes_back_to_the_bit(run, model):
    row = HistoryRow(1, 0.1 + 0.2, 1 / 3, 1e-9)
    state = RunState(step=7, rows=[row], metrics=[[1 / 3], [7.0, 2.0]], seconds=1.5)
    checkpoints.write_checkpoint(run, RECIPE, model, state)
    assert checkpoints.read_checkpoint(run.checkpoint_path, RECIPE)[1] == state
    assert checkpoints.epochs_done(run) == 1
