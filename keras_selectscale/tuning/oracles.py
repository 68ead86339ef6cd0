"""KerasTuner's oracles by the names of the command line."""

from typing import Any

import keras_tuner

from keras_selectscale.tuning.bayesian_oracle import BayesianOracle
from keras_selectscale.tuning.grid_oracle import GridOracle, on_figure4
from keras_selectscale.tuning.lasting_oracle import LastingOracle

MOST_COLLISIONS = 1000
TUNERS = ("random", "bayesian", "hyperband", "grid")


class _Random(LastingOracle, keras_tuner.oracles.RandomSearchOracle):
    pass


class _Hyperband(LastingOracle, keras_tuner.oracles.HyperbandOracle):
    pass


def make_oracle(
    tuner: str,
    *,
    objective: Any,
    trials: int | None,
    seed: int,
    max_epochs: int,
    figure4: bool = False,
) -> LastingOracle:
    """Returns an oracle.

    Args:
        tuner: One of `TUNERS`.
        objective: A `keras_tuner.Objective`, or the name of a metric.
        trials: How many trials at most; `None` is as many as the grid has points, or Hyperband one
            sweep, and no other tuner takes it.
        seed: Decides what is drawn, at least 1: KerasTuner takes 0 for none.
        max_epochs: Of a trial that Hyperband trains to the end.
        figure4: Whether a grid keeps to the two curves of Figure 4.

    Raises:
        ValueError: Where `tuner` is unknown, or `trials` or `figure4` does not go with it.
    """
    if tuner not in TUNERS:
        raise ValueError(
            f"Argument `tuner` must be one of {list(TUNERS)}. Received: tuner={tuner!r}"
        )
    if trials is None and tuner in ("random", "bayesian"):
        raise ValueError(
            f"Argument `trials` must be a number with the tuner {tuner!r}. Received: trials=None"
        )
    if figure4 and tuner != "grid":
        raise ValueError(
            "Argument `figure4` goes with the tuner 'grid'. "
            f"Received: figure4=True with tuner={tuner!r}"
        )
    # A search in which trials fail goes on.
    common = {"objective": objective, "seed": seed, "max_consecutive_failed_trials": None}
    if tuner == "hyperband":
        oracle = _Hyperband(
            max_epochs=max_epochs, hyperband_iterations=1 if trials is None else None, **common
        )
        # It has no such argument, and reads the attribute as the others do.
        oracle.max_trials = trials
    elif tuner == "grid":
        oracle = GridOracle(keep=on_figure4 if figure4 else None, max_trials=trials, **common)
    else:
        kind = _Random if tuner == "random" else BayesianOracle
        oracle = kind(max_trials=trials, **common)
    oracle.verbose = 0
    # By its 20 a space of few points would be given up while some have not been tried.
    oracle._max_collisions = MOST_COLLISIONS
    return oracle
