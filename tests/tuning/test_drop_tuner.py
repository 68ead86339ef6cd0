import os
import pathlib
import signal
import statistics
import subprocess
import sys

import keras
import keras_tuner
import numpy as np
import pytest

from keras_selectscale import stopping
from keras_selectscale.tuning import DropTuner, RateSpace
from keras_selectscale.tuning.oracles import TUNERS
from keras_selectscale.tuning.trials.callbacks import TrialStop
from tests.tuning.searches import RATES, Killed, MadeUp, killed_at, made_up_tuner, trials_of


@pytest.mark.parametrize("kind", TUNERS)
def test_every_seed_is_kept_and_the_mean_is_the_score(kind, tmp_path):
    tuner = made_up_tuner(kind, tmp_path / "search")
    tuner.search()
    trials = trials_of(tmp_path / "search")
    assert sorted(trials) == ["t0000", "t0001", "t0002", "t0003"]
    for status, values, errors, score in trials.values():
        assert status == "COMPLETED" and len(errors) == 2 and errors[0] != errors[1]
        assert score == pytest.approx(statistics.fmean(errors))
        assert values["drop"] in ("selectscale", "selectout", "none")
    # The first seed of every trial draws the same, and so does the second.
    assert len({drawn for _, drawn in tuner.hypermodel.fits}) == 2
    best = tuner.get_best_hyperparameters()[0].values
    assert best == min(trials.values(), key=lambda trial: trial[3])[1]


@pytest.mark.parametrize("kind", ["random", "bayesian", "grid"])
def test_a_trial_with_a_hopeless_first_seed_is_not_trained_again(kind, tmp_path):
    whole, pruned = tmp_path / "whole", tmp_path / "pruned"
    made_up_tuner(kind, whole, trials=6).search()
    tuner = made_up_tuner(kind, pruned, trials=6, prune_margin=2.0)
    tuner.search()
    best, counts = None, []
    for status, _, errors, score in trials_of(pruned).values():
        hopeless = best is not None and errors[0] - best > 2.0
        assert status == "COMPLETED" and len(errors) == (1 if hopeless else 2)
        assert score == pytest.approx(statistics.fmean(errors))
        best = score if best is None else min(best, score)
        counts.append(len(errors))
    assert set(counts) == {1, 2} and len(tuner.hypermodel.fits) == sum(counts)
    if kind != "bayesian":  # It draws later points by the scores.
        assert best == min(score for *_, score in trials_of(whole).values())
    # Continued, nothing is trained.
    tuner = made_up_tuner(kind, pruned, trials=6, prune_margin=2.0)
    tuner.search()
    assert tuner.hypermodel.fits == []


@pytest.mark.parametrize(
    ("kind", "margin", "error"),
    [("hyperband", 1.0, ValueError), ("random", -1.0, ValueError), ("random", "1", TypeError)],
)
def test_a_margin_that_prunes_nothing_sensible(kind, margin, error, tmp_path):
    with pytest.raises(error, match="`prune_margin`"):
        made_up_tuner(kind, tmp_path / "search", prune_margin=margin)


@pytest.mark.parametrize("kind", TUNERS)
def test_a_search_that_is_killed_at_any_file_goes_on(kind, tmp_path):
    whole = made_up_tuner(kind, tmp_path / "whole")
    whole.search()
    expected = trials_of(tmp_path / "whole")
    # Odd points are killed before the file is in its place, even ones after.
    for point in range(1, 60, 5 if kind == "random" else 11):
        folder = tmp_path / str(point)
        with killed_at(point):
            try:
                made_up_tuner(kind, folder).search()
                break
            except Killed:
                pass
        before = trials_of_what_is_there(folder)
        tuner = made_up_tuner(kind, folder)
        tuner.search()
        after = trials_of(folder)
        # Nothing is lost: what had an error keeps it, and no seed is run for it again.
        for trial_id, errors in before.items():
            assert after[trial_id][2][: len(errors)] == errors
        done = sum(len(errors) for errors in before.values())
        assert len(tuner.hypermodel.fits) == 2 * len(expected) - done
        # Nothing is counted twice.
        assert all(len(errors) == 2 for _, _, errors, _ in after.values())
        if kind == "bayesian":  # Its optimizer restarts its own draws.
            assert after.keys() == expected.keys()
            assert len({str(values) for _, values, _, _ in after.values()}) == len(after)
        else:
            assert after == expected
    else:
        raise AssertionError("the search was killed at every point")


def trials_of_what_is_there(folder):
    import json

    oracle = folder / "oracle.json"
    known = json.loads(oracle.read_text())["start_order"] if oracle.exists() else []
    found = {}
    for trial_id in known:
        trial = json.loads((folder / f"trial_{trial_id}" / "trial.json").read_text())
        metric = trial["metrics"]["metrics"].get("validation_error", {"observations": []})
        found[trial_id] = [value for each in metric["observations"] for value in each["value"]]
    return found


@pytest.mark.slow
def test_kill_9_and_go_on(tmp_path):
    """All four tuners in one process, which is killed for good, again and again."""
    ends = []
    for point in (9, 31, 24, 17, 10_000):
        done = subprocess.run(
            [sys.executable, "-m", "tests.tuning.searches", tmp_path / "killed", str(point)],
            cwd=pathlib.Path(__file__).resolve().parents[2],
            timeout=120,
            capture_output=True,
            text=True,
        )
        ends.append(done.returncode)
    assert ends == [*[-signal.SIGKILL] * 4, 0], done.stderr[-1000:]
    for kind in TUNERS:
        trials = trials_of(tmp_path / "killed" / kind)
        assert sorted(trials) == ["t0000", "t0001", "t0002", "t0003"]
        assert all(len(errors) == 2 for _, _, errors, _ in trials.values())
        if kind != "bayesian":
            made_up_tuner(kind, tmp_path / "whole" / kind).search()
            assert trials == trials_of(tmp_path / "whole" / kind)


def test_a_search_that_is_told_to_stop_stops_between_seeds_and_continues(tmp_path, monkeypatch):
    made_up_tuner("random", tmp_path / "whole").search()
    fit = MadeUp.fit

    def told(self, *args, **kwargs):
        found = fit(self, *args, **kwargs)
        if len(self.fits) == 3:
            signal.raise_signal(signal.SIGTERM)
        return found

    with monkeypatch.context() as patched, stopping.deferred():
        patched.setattr(MadeUp, "fit", told)
        with pytest.raises(stopping.Stopped, match="stopped by SIGTERM in trial t0001, seed 1"):
            made_up_tuner("random", tmp_path / "told").search()
    # However short the limit, something is trained: here the other seed.
    with stopping.time_limit(1e-9), pytest.raises(stopping.Stopped, match="limit after 2 trials"):
        made_up_tuner("random", tmp_path / "told").search()
    made_up_tuner("random", tmp_path / "told").search()
    assert trials_of(tmp_path / "told") == trials_of(tmp_path / "whole")


def test_a_trial_stops_after_the_step_that_is_running():
    stop = TrialStop("in trial t0001, seed 0")
    stop.on_train_batch_end(0)
    with stopping.deferred():
        signal.raise_signal(signal.SIGINT)
        for told in (stop.on_train_batch_end, stop.on_test_batch_end):
            with pytest.raises(KeyboardInterrupt, match="interrupted in trial t0001, seed 0"):
                told(1)


def test_a_grid_has_every_point_once(tmp_path):
    made_up_tuner("grid", tmp_path, trials=None).search()
    values = [tuple(sorted(values.items())) for _, values, _, _ in trials_of(tmp_path).values()]
    # SelectScale 2 by 2; Selectout's shares with 0.5, and with 0.2 the one rate of 0.8; none.
    assert len(values) == len(set(values)) == 4 + (5 + 1) + 1


@pytest.mark.parametrize("kind", ["random", "bayesian"])
def test_no_search_tries_a_drop_twice(kind, tmp_path):
    made_up_tuner(kind, tmp_path, trials=15).search()
    space = RateSpace(("selectscale", "selectout", "none"), **RATES)
    drops = [str(space.rates(values)) for _, values, _, _ in trials_of(tmp_path).values()]
    assert len(drops) == len(set(drops)) == space.size() == 11


@pytest.mark.parametrize("name", ["run[1]", "run*", "what?", "[!a]"])
def test_a_folder_may_have_any_name(name, tmp_path):
    # What the name would stand for as a pattern is another search.
    made_up_tuner("random", tmp_path / "run1", trials=1, seed=2).search()
    made_up_tuner("random", tmp_path / name, trials=2).search()
    first = trials_of(tmp_path / name)
    tuner = made_up_tuner("random", tmp_path / name, trials=4)
    tuner.search()
    assert len(tuner.hypermodel.fits) == 4 and len(tuner.oracle.trials) == 4
    assert {key: trials_of(tmp_path / name)[key] for key in first} == first


def test_a_search_goes_further_with_more_trials(tmp_path):
    made_up_tuner("random", tmp_path, trials=2).search()
    first = trials_of(tmp_path)
    tuner = made_up_tuner("random", tmp_path, trials=5)
    tuner.search()
    assert {key: trials_of(tmp_path)[key] for key in first} == first
    assert len(trials_of(tmp_path)) == 5 and len(tuner.hypermodel.fits) == 6


class Failing(MadeUp):
    errors = {
        "selectscale": FloatingPointError("the loss is nan"),
        "selectout": MemoryError("no room"),
    }

    def fit(self, hp, model, *args, **kwargs):
        if hp.get("drop") in self.errors:
            raise self.errors[hp.get("drop")]
        return {"validation_error": float("nan")} if np.random.random() < 0.5 else 5.0


@pytest.mark.parametrize("kind", TUNERS)
def test_a_trial_that_fails_is_recorded_and_the_search_goes_on(kind, tmp_path):
    tuner = DropTuner(Failing(), kind, tmp_path, trials=8, max_epochs=4, tensorboard=False)
    tuner.search()
    trials = tuner.oracle.trials.values()
    assert len(trials) >= 8 if kind != "hyperband" else len(trials) >= 3
    for trial in trials:
        drop = trial.hyperparameters.get("drop")
        if drop in Failing.errors:
            error = Failing.errors[drop]
            assert trial.status == "FAILED"
            assert trial.message.startswith(f"{type(error).__name__}: {error}\n")
            assert (
                tmp_path / f"trial_{trial.trial_id}" / "failure.txt"
            ).read_text() == trial.message
    assert sum(trial.status == "FAILED" for trial in trials) >= 3
    # And again: what failed has ended.
    again = DropTuner(Failing(), kind, tmp_path, trials=8, max_epochs=4, tensorboard=False)
    again.search()
    assert again.hypermodel.fits == [] and len(again.oracle.trials) == len(trials)


def classifier(hp):
    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(hp.Int("units", 2, 9)), keras.layers.Dense(2)]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    return model


def test_a_plain_build_function_and_arrays_will_do(tmp_path):
    x = np.random.default_rng(0).normal(size=(20, 3)).astype("float32")
    y = (x[:, 0] > 0).astype("int64")
    tuner = DropTuner(
        classifier,
        "random",
        tmp_path,
        trials=2,
        seeds=2,
        objective="val_accuracy",
        early_stopping=1,
    )
    tuner.search(x, y, validation_data=(x, y), epochs=2, verbose=0)
    trials = list(tuner.oracle.trials.values())
    assert [trial.status for trial in trials] == ["COMPLETED"] * 2
    assert tuner.oracle.objective.direction == "max"
    assert all(len(t.metrics.get_history("val_accuracy")[0].value) == 2 for t in trials)
    with pytest.raises(NotImplementedError, match="get_best_hyperparameters"):
        tuner.get_best_models()


def test_a_loss_that_is_nan_fails_the_trial(tmp_path):
    x = np.full((4, 3), np.nan, "float32")
    tuner = DropTuner(classifier, "random", tmp_path, trials=1, objective="val_loss")
    tuner.search(x, np.zeros(4), validation_data=(x, np.zeros(4)), epochs=3, verbose=0)
    (trial,) = tuner.oracle.trials.values()
    assert trial.status == "FAILED" and trial.message.startswith("FloatingPointError")


@pytest.mark.parametrize(
    "arguments, named",
    [
        ({"tuner": "sobol"}, "`tuner`.*'hyperband'.*'sobol'"),
        ({"trials": None}, "`trials`.*'random'"),
        ({"seeds": 0}, "`seeds`.*0"),
        ({"seed": 0}, "`seed`.*0"),
        ({"trials": 0}, "`trials`.*0"),
        ({"trials": 2.5}, "`trials`.*2.5"),
        ({"early_stopping": -1}, "`early_stopping`.*-1"),
        ({"wait_seconds": -1.0}, "`wait_seconds`.*-1.0"),
        ({"figure4": True}, "`figure4`.*'grid'.*'random'"),
    ],
)
def test_refuses_bad_values(arguments, named, tmp_path):
    with pytest.raises(ValueError, match=named):
        DropTuner(MadeUp(), **{"tuner": "random", "trials": 1, "directory": tmp_path, **arguments})


def test_an_infeasible_space_is_refused_before_anything_is_run(tmp_path):
    def build(hp):
        from keras_selectscale.tuning import drop_space

        drop_space(hp, ("selectout",), top_rates=(0.1,), retaining_rates=(0.2,))
        raise AssertionError("it was built")

    with pytest.raises(ValueError, match="`top_rates` and `retaining_rates`.*nothing feasible"):
        DropTuner(build, "random", tmp_path / "none", trials=3)
    assert not list(tmp_path.glob("none/trial_*"))


def test_a_model_that_is_none_ends_the_search(tmp_path):
    built = []

    def build(hp):
        hp.Boolean("a")
        built.append(1)
        return None if len(built) > 1 else keras.Sequential([keras.Input((1,))])

    tuner = DropTuner(build, "random", tmp_path, trials=2)
    with pytest.raises(keras_tuner.errors.FatalTypeError, match="keras.Model"):
        tuner.search()


def test_the_environment_is_left_alone():
    assert not [name for name in os.environ if name.startswith("KERASTUNER_")]


@pytest.mark.parametrize("hypermodel", [None, 3, "resnet-8", keras_tuner.HyperModel])
def test_refuses_what_is_no_hypermodel(hypermodel, tmp_path):
    with pytest.raises(TypeError, match="`hypermodel` must be a keras_tuner.HyperModel"):
        DropTuner(hypermodel, "random", tmp_path / "search", trials=1)
    assert not (tmp_path / "search").exists()


def test_the_best_models_are_those_that_were_trained_if_their_weights_are_kept(tmp_path, capsys):
    x = np.random.default_rng(0).normal(size=(20, 3)).astype("float32")
    y = (x[:, 0] > 0).astype("int64")
    tuner = DropTuner(
        classifier,
        "random",
        tmp_path,
        trials=2,
        objective="val_loss",
        keep_weights=True,
        tensorboard=False,
    )
    tuner.search(x, y, validation_data=(x, y), epochs=2, verbose=2)
    for model, trial in zip(tuner.get_best_models(2), tuner.oracle.get_best_trials(2), strict=True):
        assert model.evaluate(x, y, verbose=0)[0] == pytest.approx(trial.score, rel=1e-5)
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("trial")]
    best = tuner.oracle.get_best_trials()[0]
    assert len(lines) == 4 and lines[0].startswith("trial t0000 (1 of 2): units=")
    assert f"(best {best.score:.5g}, trial {best.trial_id})" in lines[-1]
