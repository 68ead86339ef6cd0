import collections
import random

import keras_tuner
import pytest

from keras_selectscale.tuning import RateSpace
from keras_selectscale.tuning.oracles import make_oracle


def begun(tmp_path, tuner, space, *, reloads=False, **options):
    """Returns an oracle as a tuner has it, new or with the state in the files."""
    oracle = make_oracle(
        tuner,
        objective=keras_tuner.Objective("validation_error", "min"),
        **{"trials": None, "seed": 1, "max_epochs": 9, **options},
    )
    oracle._set_project_dir(str(tmp_path), "search")
    if reloads:
        oracle.reload()
    else:
        hp = oracle.get_space()
        space.draw(hp)
        oracle.update_space(hp)
    return oracle


def end(oracle, trial, error):
    """Ends a trial, which fails where there is no error."""
    if error is not None:
        oracle.update_trial(trial.trial_id, {"validation_error": error})
    trial.status = "FAILED" if error is None else "COMPLETED"
    oracle.end_trial(trial)


def error_of(trial):
    """Each point has its own error, which does not depend on the epochs."""
    values = trial.hyperparameters.values
    return random.Random(
        str(sorted(item for item in values.items() if not item[0].startswith("tuner/")))
    ).random()


def searched(oracle, error=error_of):
    """Runs the trials of an oracle one after the other, and returns them."""
    for _ in range(1000):
        trial = oracle.create_trial("tuner0")
        if trial.status == "STOPPED":
            return list(oracle.trials.values())
        assert trial.status == "RUNNING"
        end(oracle, trial, error(trial))
    raise AssertionError("it does not end")


def by_epochs(trials):
    return dict(collections.Counter(t.hyperparameters.values["tuner/epochs"] for t in trials))


def errors_of(trials, epochs):
    return sorted(t.score for t in trials if t.hyperparameters.values["tuner/epochs"] == epochs)


FEW = RateSpace(("spatial-scale", "none"), None, (0.0, 0.2, 0.4, 0.6, 0.8))  # 6 points.
SIX = {1: 6, 3: 2, 9: 1}


def test_hyperbands_better_trials_go_on_where_the_space_is_small(tmp_path):
    trials = searched(begun(tmp_path, "hyperband", FEW))
    assert by_epochs(trials) == SIX
    assert errors_of(trials, 3) == errors_of(trials, 1)[:2]
    assert errors_of(trials, 9) == errors_of(trials, 1)[:1]
    by_id = {trial.trial_id: trial for trial in trials}
    for trial in trials[6:]:
        values = trial.hyperparameters.values
        before = by_id[values["tuner/trial_id"]].hyperparameters.values
        assert values["tuner/initial_epoch"] == before["tuner/epochs"]
        assert values["tuner/round"] == before["tuner/round"] + 1
        assert FEW.rates(values) == FEW.rates(before)


def test_hyperband_is_kerastuners_where_the_space_is_large(tmp_path):
    space = RateSpace()
    ours = searched(begun(tmp_path / "ours", "hyperband", space))
    oracle = keras_tuner.oracles.HyperbandOracle(
        keras_tuner.Objective("validation_error", "min"), max_epochs=9, seed=1
    )
    oracle.verbose = 0
    oracle._set_project_dir(str(tmp_path), "theirs")
    hp = oracle.get_space()
    space.draw(hp)
    oracle.update_space(hp)
    theirs = searched(oracle)
    assert by_epochs(ours) == {1: 9, 3: 3 + 5, 9: 1 + 2 + 3}
    for one, other in zip(ours, theirs, strict=True):
        values = one.hyperparameters.values
        if "tuner/trial_id" in values:  # Their ids are numbers.
            values["tuner/trial_id"] = values["tuner/trial_id"].removeprefix("t")
        assert values == other.hyperparameters.values


def test_hyperband_with_a_number_of_trials_ends_where_the_space_does(tmp_path):
    assert by_epochs(searched(begun(tmp_path / "all", "hyperband", FEW, trials=500))) == SIX
    assert len(searched(begun(tmp_path / "some", "hyperband", FEW, trials=7))) == 7


def test_hyperbands_better_trials_go_on_where_others_fail(tmp_path):
    def error(trial):
        return error_of(trial) if int(trial.trial_id[1:]) % 3 == 0 else None

    large = searched(begun(tmp_path / "large", "hyperband", RateSpace()), error)
    small = searched(begun(tmp_path / "small", "hyperband", FEW), error)
    # Three of nine points and two of six do not fail, which are as many as are to go on.
    for trials, rounds in ((large, {1: 9, 3: 3, 9: 1}), (small, SIX)):
        first = [t for t in trials if t.hyperparameters.values["tuner/bracket"] == 2]
        assert by_epochs(first) == rounds
    everything_fails = searched(begun(tmp_path / "none", "hyperband", FEW), lambda trial: None)
    assert by_epochs(everything_fails) == {1: 6}


@pytest.mark.parametrize("seed", range(4))
def test_hyperband_on_a_small_space_with_workers_and_kills(seed, tmp_path):
    """Three workers that end in any order; now and then all is killed and begun again."""
    chance = random.Random(seed)
    oracle, running = begun(tmp_path, "hyperband", FEW), {}
    oracle.save()  # As a tuner does.
    for _ in range(1000):
        if chance.random() < 0.2:
            oracle, running = begun(tmp_path, "hyperband", FEW, reloads=True), {}
        worker = f"worker{chance.randrange(3)}"
        if worker in running:
            trial = running.pop(worker)
            end(oracle, trial, error_of(trial))
            continue
        trial = oracle.create_trial(worker)
        if trial.status == "STOPPED":
            break
        # Nobody waits for nothing.
        assert trial.status == "RUNNING" or running
        if trial.status == "RUNNING":
            running[worker] = trial
    assert not running
    trials = list(oracle.trials.values())
    assert by_epochs(trials) == SIX
    assert errors_of(trials, 9) == errors_of(trials, 1)[:1]


def test_hyperbands_workers_wait_for_the_end_of_a_round_and_share_the_next(tmp_path):
    oracle = begun(tmp_path, "hyperband", FEW)
    first = [oracle.create_trial(f"worker{number}") for number in range(6)]
    for trial in first[1:]:
        assert oracle.create_trial("worker6").status == "IDLE"
        end(oracle, trial, error_of(trial))
    assert oracle.create_trial("worker6").status == "IDLE"
    end(oracle, first[0], error_of(first[0]))
    second = [oracle.create_trial(f"worker{number}") for number in range(3)]
    assert [trial.status for trial in second] == ["RUNNING", "RUNNING", "IDLE"]


def test_hyperband_goes_on_with_a_search_that_kerastuner_ended_too_early(tmp_path):
    """A folder of a former version: its first round is all there is."""
    oracle = begun(tmp_path, "hyperband", FEW)
    for _ in range(6):
        trial = oracle.create_trial("tuner0")
        end(oracle, trial, error_of(trial))
    assert by_epochs(searched(begun(tmp_path, "hyperband", FEW, reloads=True))) == SIX


def test_a_grid_of_figure4_begins_on_a_curve(tmp_path):
    space = RateSpace("selectscale", (0.1, 0.2, 0.3), (0.3, 0.5))
    trials = searched(begun(tmp_path, "grid", space, figure4=True))
    found = [space.rates(trial.hyperparameters.values) for trial in trials]
    assert [(each["top_rate"], each["retaining_rate"]) for each in found] == [
        (0.2, 0.3),
        (0.2, 0.5),
    ]
    again = begun(tmp_path, "grid", space, figure4=True, reloads=True)
    assert again.create_trial("tuner0").status == "STOPPED"


def test_a_grid_of_figure4_with_nothing_on_its_curves_ends(tmp_path):
    space = RateSpace("selectscale", (0.1, 0.3), (0.3, 0.5))
    oracle = begun(tmp_path, "grid", space, figure4=True)
    assert searched(oracle) == searched(oracle) == []


def conditional(hp):
    hp.Boolean("a")
    with hp.conditional_scope("a", [True]):
        hp.Choice("b", [3, 1, 2], default=1)
        hp.Float("c", 0, 1, step=0.5)
    hp.Fixed("d", 1)
    hp.Choice("e", ["x", "y"])


@pytest.mark.parametrize("space", [conditional, RateSpace(("selectscale", "none"), (0.1,)).draw])
def test_the_order_of_a_grid_is_kerastuners(space, tmp_path):
    orders = []
    for name, oracle in (
        ("ours", make_oracle("grid", objective="loss", trials=None, seed=1, max_epochs=1)),
        ("theirs", keras_tuner.oracles.GridSearchOracle("loss")),
    ):
        oracle.verbose = 0
        oracle._set_project_dir(str(tmp_path), name)
        hp = oracle.get_space()
        space(hp)
        oracle.update_space(hp)
        found = []
        while (trial := oracle.create_trial("tuner0")).status == "RUNNING":
            found.append(trial.hyperparameters.values)
            oracle.update_trial(trial.trial_id, {"loss": 1.0})
            trial.status = "COMPLETED"
            oracle.end_trial(trial)
        orders.append(found)
    assert orders[0] == orders[1] and len(orders[0]) > 8


def test_a_grid_goes_back_to_the_points_of_a_new_hyperparameter(tmp_path):
    oracle = make_oracle("grid", objective="loss", trials=None, seed=1, max_epochs=1)
    oracle._set_project_dir(str(tmp_path), "search")
    hp = oracle.get_space()
    hp.Choice("a", [1, 2])
    oracle.update_space(hp)
    found = []
    while (trial := oracle.create_trial("tuner0")).status == "RUNNING":
        trial.hyperparameters.Choice("b", [5, 6])
        oracle.update_trial(trial.trial_id, {"loss": 1.0})
        trial.status = "COMPLETED"
        oracle.end_trial(trial)
        found.append((trial.hyperparameters.values["a"], trial.hyperparameters.values["b"]))
    assert sorted(found) == [(1, 5), (1, 6), (2, 5), (2, 6)]
