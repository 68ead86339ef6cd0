import statistics

import keras_tuner

from keras_selectscale.tuning import RateSpace
from keras_selectscale.tuning.oracles import make_oracle


def searched(tmp_path, trials, error, seed=1):
    """Returns the values of a search's trials, in their order, without a tuner."""
    oracle = make_oracle(
        "bayesian",
        objective=keras_tuner.Objective("validation_error", "min"),
        trials=trials,
        seed=seed,
        max_epochs=1,
    )
    oracle._set_project_dir(str(tmp_path), "search")
    space, hp = RateSpace(("selectscale", "selectout", "none")), oracle.get_space()
    space.draw(hp)
    oracle.update_space(hp)
    found = []
    while (trial := oracle.create_trial("tuner0")).status == "RUNNING":
        found.append(trial.hyperparameters.values)
        oracle.update_trial(trial.trial_id, {"validation_error": error(space.rates(found[-1]))})
        trial.status = "COMPLETED"
        oracle.end_trial(trial)
    return found


def distance(rates):
    if rates["drop"] != "selectscale":
        return 12.0
    return 10 * (abs(rates["top_rate"] - 0.3) + abs(rates["retaining_rate"] - 0.6))


def test_it_looks_where_the_error_is_low(tmp_path):
    """40 of 151 points, the first 15 at random: those after are much nearer to the optimum."""
    space = RateSpace(("selectscale", "selectout", "none"))
    first, later = [], []
    for seed in range(1, 6):
        errors = [
            distance(space.rates(values))
            for values in searched(tmp_path / str(seed), 40, distance, seed)
        ]
        assert min(errors) <= 1.01
        first += errors[:15]
        later += errors[15:]
    assert statistics.fmean(later) < 0.6 * statistics.fmean(first)


def test_it_tries_nothing_twice_and_inactive_values_are_left_out(tmp_path):
    found = searched(tmp_path, 60, lambda rates: 1.0)
    assert len({str(sorted(values.items())) for values in found}) == 60
    assert all(len(values) == (1 if values["drop"] == "none" else 3) for values in found)
    for values in found:
        assert all(name == "drop" or name.startswith(values["drop"]) for name in values)
