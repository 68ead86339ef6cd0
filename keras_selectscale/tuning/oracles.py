"""KerasTuner's oracles by the names of the command line."""

import math
from typing import Any

import keras_tuner

from keras_selectscale.tuning.bayesian_oracle import BayesianOracle
from keras_selectscale.tuning.grid_oracle import GridOracle, on_figure4
from keras_selectscale.tuning.lasting_oracle import ENDED, LastingOracle

MOST_COLLISIONS = 1000
TUNERS = ("random", "bayesian", "hyperband", "grid")


class _Random(LastingOracle, keras_tuner.oracles.RandomSearchOracle):
    pass


class _Hyperband(LastingOracle, keras_tuner.oracles.HyperbandOracle):
    """KerasTuner's, but the better trials also go on where the space or failures leave few.

    KerasTuner ends where no new point is left for a first round, and lets nothing go on from a
    round in which too many trials failed. Here a bracket whose first round cannot be filled is
    closed at what it has, and of a round that has ended the better third goes on.
    """

    # KerasTuner's own, which it does not annotate.
    _brackets: list[dict[str, Any]]

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Returns values for a trial: a new point, or one of the better that goes on."""
        for bracket in self._brackets:
            values = self._new_point(bracket, trial_id) or self._going_on(bracket, trial_id)
            if values is not None:
                return {"status": "RUNNING", "values": values}
        last_sweep = self._current_iteration + 1 == self.hyperband_iterations
        no_bracket_left = self._current_bracket == 0 and last_sweep
        if not no_bracket_left and all(self._is_filled(bracket) for bracket in self._brackets):
            self._increment_bracket_num()
            self._start_new_bracket()
            values = self._new_point(self._brackets[-1], trial_id)
            if values is not None:
                return {"status": "RUNNING", "values": values}
        return {"status": "IDLE" if self.ongoing_trials else "STOPPED"}

    def _is_filled(self, bracket: dict[str, Any]) -> bool:
        return len(bracket["rounds"][0]) >= self._get_size(bracket["bracket_num"], 0)

    def _new_point(self, bracket: dict[str, Any], trial_id: str) -> dict[str, Any] | None:
        """Returns values of the first round, or closes the bracket where no point is left."""
        if self._is_filled(bracket) or bracket.get("closed"):
            return None
        values = self._random_values()
        if values is None:
            # A trial that is running may still bring hyperparameters, and with them new points.
            bracket["closed"] = not self.ongoing_trials
            return None
        return self._enter(bracket, 0, values, None, trial_id)

    def _going_on(self, bracket: dict[str, Any], trial_id: str) -> dict[str, Any] | None:
        """Returns the values of the best trial that is to go on and has not, or `None`."""
        if not self._is_filled(bracket) and not bracket.get("closed"):
            return None
        rounds = bracket["rounds"]
        for number in range(1, len(rounds)):
            past = [self.trials[info["id"]] for info in rounds[number - 1]]
            if any(trial.status not in ENDED for trial in past):
                return None
            ranked = sorted(
                (trial for trial in past if trial.status == "COMPLETED"),
                key=lambda trial: trial.score,
                reverse=self.objective.direction == "max",
            )
            size = self._get_size(bracket["bracket_num"], number)
            if bracket.get("closed"):
                size = math.ceil(len(past) / self.factor)
            gone = {info["past_id"] for info in rounds[number]}
            for best in ranked[:size]:
                if best.trial_id not in gone:
                    values = {**best.hyperparameters.values, "tuner/trial_id": best.trial_id}
                    return self._enter(bracket, number, values, best.trial_id, trial_id)
        return None

    def _enter(
        self,
        bracket: dict[str, Any],
        number: int,
        values: dict[str, Any],
        past_id: str | None,
        trial_id: str,
    ) -> dict[str, Any]:
        """Notes a trial in a round, and returns its values with those of the round."""
        kind = bracket["bracket_num"]
        bracket["rounds"][number].append({"past_id": past_id, "id": trial_id})
        return {
            **values,
            "tuner/epochs": self._get_epochs(kind, number),
            "tuner/initial_epoch": self._get_epochs(kind, number - 1) if number else 0,
            "tuner/bracket": kind,
            "tuner/round": number,
        }


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
