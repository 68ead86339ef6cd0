"""Trials that are stopped continue; `layers/test_backends.py` runs a test on other backends too."""

import dataclasses
import json
import signal
import zipfile

import keras
import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from keras_selectscale import stopping
from keras_selectscale.tuning import DropHyperModel, DropTuner
from keras_selectscale.tuning.trials.checkpoint import StoppedTrial, TrialCheckpoint, TrialState
from tests.tuning.searches import trials_of
from tests.tuning.test_drop_hyper_model import RECIPE, images, small

EPOCHS, STEPS = 4, 3
DATA = images()


def normalized(drop=None):
    """A network with every kind of state: normalization, momentum and random drops."""
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.BatchNormalization()(keras.layers.Conv2D(6, 3)(inputs))
    x = x if drop is None else drop(x)
    x = keras.layers.Dropout(0.2, seed=3)(keras.layers.GlobalAveragePooling2D()(x))
    return keras.Model(inputs, keras.layers.Dense(10)(x))


def tuner(folder, kind="random", **options):
    recipe = dataclasses.replace(RECIPE, epochs=EPOCHS)
    hypermodel = DropHyperModel(normalized, ("selectscale",), recipe, retaining_rates=(0.0, 0.5))
    return DropTuner(hypermodel, kind, folder, **{"trials": 1, "seeds": 1, **options})


def metrics_of(found):
    """Every number that the search has recorded of its trials, to the bit."""
    return {
        trial.trial_id: {
            name: trial.metrics.get_history(name)[0].value for name in trial.metrics.metrics
        }
        for trial in found.oracle.trials.values()
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A search of one trial that is never stopped."""
    found = tuner(tmp_path_factory.mktemp("whole"), keep_weights=True)
    found.search(DATA)
    return found


@pytest.fixture
def steps(monkeypatch):
    """Counts the steps of all trials, and stops at those in `stops`."""
    counted = type("Steps", (), {"done": 0, "stops": set()})()
    count = TrialCheckpoint.on_train_batch_end

    def told(self, batch, logs=None):
        counted.done += 1
        if counted.done in counted.stops:
            signal.raise_signal(signal.SIGTERM)
        count(self, batch, logs)

    monkeypatch.setattr(TrialCheckpoint, "on_train_batch_end", told)
    return counted


# A step within an epoch, the last one of an epoch, and the last one of all.
@pytest.mark.parametrize("stop", [STEPS + 2, 2 * STEPS, EPOCHS * STEPS])
def test_a_stopped_trial_ends_with_the_same_bits(stop, whole, steps, tmp_path):
    total, steps.stops = EPOCHS * STEPS, {stop}
    epoch, within = divmod(stop, STEPS)
    where = f"in trial t0000, seed 0, at epoch {epoch + 1} of {EPOCHS}, step {within} of {STEPS}"
    if stop == total:
        where = "after 1 trial"
    folder = tmp_path / "stopped"
    with stopping.deferred(), pytest.raises(stopping.Stopped, match=where):
        tuner(folder, keep_weights=True).search(DATA)
    assert len(list(folder.glob("trial_t0000/seed0.checkpoint.zip"))) == (stop < total)
    again = tuner(folder, keep_weights=True)
    again.search(DATA)
    assert steps.done == total
    assert metrics_of(again) == metrics_of(whole) and len(metrics_of(whole)["t0000"]) >= 5
    assert trials_of(folder) == trials_of(whole.project_path)
    ours, theirs = (each.get_best_models()[0].get_weights() for each in (again, whole))
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one, other)
    assert not list(folder.glob("trial_t0000/*.zip"))
    # The log has every epoch once.
    log = EventAccumulator(str(folder / "tensorboard" / "t0000" / "seed0"))
    log.Reload()
    assert [each.step for each in log.Tensors("val_loss")] == [1, 2, 3, 4]


@pytest.mark.slow
def test_early_stopping_and_the_trials_of_hyperband_continue(steps, tmp_path):
    options = {"kind": "hyperband", "trials": 3, "early_stopping": 1, "max_epochs": 4, "seeds": 2}
    whole = tuner(tmp_path / "whole", **options)
    whole.search(DATA)
    # At the end of an epoch, within one, and in a trial that continues another.
    total, steps.done, steps.stops = steps.done, 0, {STEPS, 2 * STEPS + 1, 5 * STEPS + 2, 40, 41}
    stopped = 0
    while stopped < 10:
        again = tuner(tmp_path / "stopped", **options)
        try:
            with stopping.deferred():
                again.search(DATA)
            break
        except stopping.Stopped:
            stopped += 1
    assert stopped == sum(stop <= total for stop in steps.stops) >= 3
    assert steps.done == total and metrics_of(again) == metrics_of(whole)


def test_a_run_that_had_ended_early_is_not_trained_on(steps, tmp_path):
    options = {"early_stopping": 1, "keep_weights": True}
    whole = tuner(tmp_path / "whole", **options)
    whole.search(DATA)
    epochs = int(metrics_of(whole)["t0000"]["epochs"][0])
    assert epochs < EPOCHS
    # Stopped as it ends; the search was killed before it recorded the result.
    steps.stops, steps.done = {epochs * STEPS}, 0
    with stopping.deferred(), pytest.raises(stopping.Stopped):
        tuner(tmp_path / "stopped", **options).search(DATA)
    again = tuner(tmp_path / "stopped", **options)
    again.search(DATA)
    assert steps.done == epochs * STEPS and metrics_of(again) == metrics_of(whole)
    assert (tmp_path / "stopped" / "trial_t0000" / "seed0.weights.h5").exists()


def test_a_damaged_checkpoint_is_named_and_the_run_starts_again(whole, steps, tmp_path, capsys):
    steps.stops = {STEPS + 1}
    with stopping.deferred(), pytest.raises(stopping.Stopped):
        tuner(tmp_path / "stopped").search(DATA)
    path = tmp_path / "stopped" / "trial_t0000" / "seed0.checkpoint.zip"
    path.write_bytes(path.read_bytes()[:-99])
    steps.done, steps.stops = 0, set()
    again = tuner(tmp_path / "stopped")
    again.search(DATA)
    assert metrics_of(again) == metrics_of(whole) and steps.done == EPOCHS * STEPS
    err = capsys.readouterr().err
    assert str(path) in err and "the run starts from the beginning" in err


ROW = {"loss": 2.0, "accuracy": 0.1, "val_loss": 2.0, "val_accuracy": 0.1}
SETTINGS = {"epochs": [1, 4], "steps": 3}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"settings": {**SETTINGS, "seed": 1}}, "other settings"),
        ({"step": 2}, "step 2 with the logs of 1 epoch"),
        ({"step": 12}, "step 12"),
        ({"rows": []}, "the logs of 0 epochs"),
        ({"rows": [{"loss": 1.0}]}, "lacks one of the logs"),
        ({"metrics": [[1.0]]}, "metrics"),
        ({"rows": 3}, "`rows`"),
        ({"more": 3}, "`more` is unknown"),
        (b"text", "not a zip file"),
        ("flipped", "checksum"),
        ("short", "expected variables of"),
    ],
)
def test_only_the_checkpoint_of_the_same_run_is_taken(changes, words, tmp_path, capsys):
    model = normalized()
    model.compile("sgd", "sparse_categorical_crossentropy")
    stopped = StoppedTrial(tmp_path / "seed0.checkpoint.zip", "in trial t0000, seed 0")
    stopped.write(model, TrialState(SETTINGS, 7, [ROW]))
    assert stopped.restore(model, SETTINGS) == TrialState(SETTINGS, 7, [ROW])
    with zipfile.ZipFile(stopped.path) as archive:
        state, variables = json.loads(archive.read("state.json")), archive.read("variables")
    with zipfile.ZipFile(stopped.path, "w") as archive:
        archive.writestr(
            "state.json", json.dumps(state | (changes if isinstance(changes, dict) else {}))
        )
        archive.writestr("variables", variables[: -4 if changes == "short" else None])
    content = bytearray(stopped.path.read_bytes())
    if changes == "flipped":
        content[len(content) // 2] ^= 1
    stopped.path.write_bytes(changes if isinstance(changes, bytes) else content)
    before = model.get_weights()
    assert stopped.restore(model, SETTINGS) is None
    err = capsys.readouterr().err
    assert words in err and str(stopped.path) in err and err.count("\n") == 1
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_with_callbacks_of_the_user_a_seed_starts_again(tmp_path):
    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            signal.raise_signal(signal.SIGTERM)

    with stopping.deferred(), pytest.raises(stopping.Stopped, match="in trial t0000, seed 0$"):
        tuner(tmp_path / "search").search(DATA, callbacks=[Stop()])
    assert not list((tmp_path / "search").glob("trial_t0000/*.zip"))


def test_a_full_disk_does_not_fail_the_trial(steps, tmp_path, monkeypatch, capsys):
    def full(self, model, state):
        raise OSError(28, "No space left on device")

    steps.stops = {2}
    with monkeypatch.context() as patched, stopping.deferred():
        patched.setattr(StoppedTrial, "write", full)
        with pytest.raises(stopping.Stopped):
            tuner(tmp_path / "search").search(DATA)
    assert "No space left" in capsys.readouterr().err
    again = tuner(tmp_path / "search")
    again.search(DATA)
    assert [trial.status for trial in again.oracle.trials.values()] == ["COMPLETED"]


def test_plain_builders_continue_too(steps, tmp_path):
    """A custom network and no recipe: the paper's, for two epochs."""

    def make(folder):
        return DropTuner(DropHyperModel(small, ("selectscale",)), "random", folder, trials=1)

    make(tmp_path / "whole").search(DATA, epochs=2)
    steps.done, steps.stops = 0, {2}
    with stopping.deferred(), pytest.raises(stopping.Stopped):
        make(tmp_path / "stopped").search(DATA, epochs=2)
    make(tmp_path / "stopped").search(DATA, epochs=2)
    assert trials_of(tmp_path / "stopped") == trials_of(tmp_path / "whole")
