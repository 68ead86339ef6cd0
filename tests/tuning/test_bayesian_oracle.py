import math
import statistics

import keras_tuner
import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor

from keras_selectscale.tuning import RateSpace, bayesian_oracle
from keras_selectscale.tuning.bayesian_oracle import fitted_trials
from keras_selectscale.tuning.oracles import make_oracle

SPACE = RateSpace(("selectscale", "selectout", "none"))


def begun(folder, draw, trials, seed=1, direction="min"):
    """Returns an oracle as a tuner has it."""
    oracle = make_oracle(
        "bayesian",
        objective=keras_tuner.Objective("score", direction),
        trials=trials,
        seed=seed,
        max_epochs=1,
    )
    oracle._set_project_dir(str(folder), "search")
    hp = oracle.get_space()
    draw(hp)
    oracle.update_space(hp)
    return oracle


def end(oracle, trial, score):
    oracle.update_trial(trial.trial_id, {"score": score})
    trial.status = "COMPLETED"
    oracle.end_trial(trial)


def searched(folder, trials, score, seed=1, draw=SPACE.draw, direction="min"):
    """Returns the values of a search's trials in their order."""
    oracle = begun(folder, draw, trials, seed, direction)
    found = []
    while (trial := oracle.create_trial("tuner0")).status == "RUNNING":
        found.append(trial.hyperparameters.values)
        end(oracle, trial, score(found[-1]))
    return found


def distance(values):
    rates = SPACE.rates(values)
    if rates["drop"] != "selectscale":
        return 12.0
    return 10 * (abs(rates["top_rate"] - 0.3) + abs(rates["retaining_rate"] - 0.6))


def test_it_looks_where_the_error_is_low(tmp_path):
    """40 of 151 points, the first 15 at random: those after are much nearer to the optimum."""
    first, later = [], []
    for seed in (1, 2, 3):
        errors = [distance(values) for values in searched(tmp_path / str(seed), 40, distance, seed)]
        assert min(errors) <= 1.01
        first += errors[:15]
        later += errors[15:]
    assert statistics.fmean(later) < 0.6 * statistics.fmean(first)


def test_a_long_search_fits_the_best_and_a_spread_of_the_others():
    np.testing.assert_array_equal(fitted_trials(np.arange(200.0)), np.arange(200))
    scores = np.random.default_rng(1).permutation(5000).astype(float)
    chosen = fitted_trials(scores)
    assert len(set(chosen)) == 200 and (np.diff(chosen) > 0).all()
    assert set(range(80)) <= set(scores[chosen])
    others = chosen[scores[chosen] >= 80]
    assert others[0] < 50 and others[-1] > 4950 and np.diff(others).max() < 60


def test_the_time_of_a_trial_is_bounded(tmp_path, monkeypatch):
    fitted = []
    fit = GaussianProcessRegressor.fit
    monkeypatch.setattr(bayesian_oracle, "MOST_TRIALS", 20)
    monkeypatch.setattr(bayesian_oracle, "BEST_TRIALS", 8)
    monkeypatch.setattr(
        GaussianProcessRegressor, "fit", lambda self, x, y: fitted.append(len(x)) or fit(self, x, y)
    )
    errors = [distance(values) for values in searched(tmp_path, 40, distance)]
    assert max(fitted) == 20 and min(errors) <= 1.01


def test_it_tries_nothing_twice_and_inactive_values_are_left_out(tmp_path):
    found = searched(tmp_path, 60, lambda values: 1.0)
    assert len({str(sorted(values.items())) for values in found}) == 60
    assert all(len(values) == (1 if values["drop"] == "none" else 3) for values in found)
    for values in found:
        assert all(name == "drop" or name.startswith(values["drop"]) for name in values)


def test_no_fit_takes_every_point_for_a_stranger(tmp_path, monkeypatch):
    """With much noise the likelihood often prefers a length scale of nothing."""
    fitted, fit = [], GaussianProcessRegressor.fit

    def watched(self, points, scores):
        result = fit(self, points, scores)
        fitted.append(self.kernel_.length_scale)
        # What is known of one point says something about its neighbours.
        near = np.clip(points + 0.02, 0, 1)
        assert np.ptp(self.predict(near)) > 0
        return result

    monkeypatch.setattr(GaussianProcessRegressor, "fit", watched)
    noise = np.random.default_rng(0)

    def smooth(values):
        rates = SPACE.rates(values)
        off = 1.0 if rates["drop"] == "none" else (rates["retaining_rate"] - 0.5) ** 2
        return 5 + 4 * off + noise.normal()

    for seed in (1, 2):
        searched(tmp_path / str(seed), 30, smooth, seed)
    assert len(fitted) == 30 and min(fitted) >= 0.05


def polynomial(values):
    return -(values["a"] ** 3) + values["b"] ** 3 + values["c"] - abs(values["d"])


def test_it_converges_where_the_space_is_continuous(tmp_path):
    """KerasTuner's own test of its Bayesian tuner, and what that demands of the best of 50."""

    def draw(hp):
        for name in "abcd":
            hp.Float(name, -1, 1)

    found = searched(tmp_path, 50, polynomial, draw=draw, direction="max")
    best = max(found, key=polynomial)
    assert polynomial(best) > 2.8  # Of 3; KerasTuner demands 2.6, and random search reaches 2.2.
    assert [best[name] for name in "abcd"] == pytest.approx([-1, 1, 1, 0], abs=0.1)


def mixed(hp):
    hp.Int("a", 0, 10)
    hp.Float("b", -1, 1, step=0.1)
    hp.Float("c", 1e-5, 1e-2, sampling="log")
    hp.Fixed("d", 7)


def test_workers_do_not_crowd_around_one_point(tmp_path):
    """KerasTuner's test with four workers; the optimum is a = 4, b = 1, c = 1e-3."""

    def score(values):
        return abs(values["a"] - 4) - values["b"] + 0.1 * abs(3 + math.log10(values["c"]))

    oracle = begun(tmp_path, mixed, 60)
    for _ in range(10):
        trials = [oracle.create_trial(f"worker{number}") for number in range(4)]
        assert len({str(trial.hyperparameters.values) for trial in trials}) == 4
        for trial in trials:
            assert trial.hyperparameters.values["d"] == 7
            end(oracle, trial, score(trial.hyperparameters.values))
    best = oracle.get_best_trials()[0]
    assert best.score < -0.8 and best.hyperparameters.get("a") == 4
    assert best.hyperparameters.get("b") == pytest.approx(1, abs=0.2)


def test_new_hyperparameters_and_an_exhausted_space(tmp_path):
    def draw(hp):
        hp.Choice("a", [1, 2])
        hp.Boolean("b")

    oracle = begun(tmp_path, draw, 20)
    oracle.num_initial_points = 2
    for _ in range(3):
        end(oracle, oracle.create_trial("tuner0"), 1.0)
    hp = oracle.get_space()
    hp.Choice("c", [1, 2, 3])
    oracle.update_space(hp)
    found = []
    while (trial := oracle.create_trial("tuner0")).status == "RUNNING":
        found.append(trial.hyperparameters.values)
        end(oracle, trial, 1.0)
    assert all("c" in values for values in found)
    assert len({str(sorted(values.items())) for values in found}) == len(found) == 12
