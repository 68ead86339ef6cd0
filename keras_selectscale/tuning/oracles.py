"""Random, grid and Hyperband search, and the oracle of each tuner by its name."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from keras_selectscale.checks import ArgumentValueError, as_choice, shown, value_error
from keras_selectscale.tuning.bayesian_oracle import BayesianOracle
from keras_selectscale.tuning.kerastuner import LastingOracle
from keras_selectscale.tuning.space import on_figure4
from keras_selectscale.tuning.state import ENDED

TUNERS = ("random", "bayesian", "hyperband", "grid")
# Values that Hyperband adds to those of a trial, except for the id of the continued trial.
ROUND_VALUES = ("tuner/epochs", "tuner/initial_epoch", "tuner/bracket", "tuner/round")


def make_oracle(
    tuner: str,
    *,
    objective: Any,
    trials: int | None,
    seed: int,
    max_epochs: int,
    figure4: bool = False,
) -> LastingOracle:
    """Returns the oracle of a tuner.

    Args:
        tuner: One of `TUNERS`.
        objective: As `keras_tuner.Oracle` takes it.
        trials: Maximum number of trials. `None` means all points of a grid, or one sweep of
            Hyperband; the other tuners require a number.
        seed: Determines the random points, at least 1; KerasTuner treats 0 as no seed.
        max_epochs: Epochs of a trial that Hyperband trains to the end.
        figure4: Whether a grid is restricted to the two curves of Figure 4.

    Raises:
        ValueError: If `tuner` is unknown, or `trials` or `figure4` does not match it.
    """
    as_choice("tuner", tuner, TUNERS)
    if trials is None and tuner in ("random", "bayesian"):
        raise value_error("trials", f"a number with the tuner {tuner!r}", trials)
    if figure4 and tuner != "grid":
        raise ArgumentValueError.about(
            "figure4",
            "Argument `figure4` goes with the tuner 'grid'. "
            f"Received: figure4=True with tuner={shown(tuner)}",
        )
    # A search continues even if many trials fail.
    common = {"objective": objective, "seed": seed, "max_consecutive_failed_trials": None}
    if tuner == "hyperband":
        return HyperbandOracle(max_epochs=max_epochs, max_trials=trials, **common)
    if tuner == "grid":
        return GridOracle(keep=on_figure4 if figure4 else None, max_trials=trials, **common)
    kind = RandomOracle if tuner == "random" else BayesianOracle
    return kind(max_trials=trials, **common)


class RandomOracle(LastingOracle):
    """Random points, each once."""

    tuner = "random"

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Returns a random point, or the status that no point is left."""
        values = self.random_values()
        return {"status": "STOPPED"} if values is None else {"status": "RUNNING", "values": values}


class GridOracle(LastingOracle):
    """Every combination of the values, one after the other.

    The order is that of KerasTuner's grid search: the last hyperparameter changes first, and each
    one starts at its default.

    Args:
        keep: Function that returns whether to try the point with given values. `None` tries all
            points.
        **kwargs: See `keras_tuner.Oracle`.
    """

    tuner = "grid"

    def __init__(self, keep: Callable[[Mapping[str, Any]], bool] | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.keep = keep
        # The last point tried in order, and the number of hyperparameters of the space at that
        # time.
        self._reached: dict[str, Any] | None = None
        self._size = -1

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Returns the next point, or the status that no point is left."""
        space = self.get_space()
        if len(space.space) != self._size:
            # This also happens after reading the state. A trial may add hyperparameters, and with
            # them new points before those that have been tried.
            self._reached, self._size = None, len(space.space)
        values = self._first(space) if self._reached is None else self._next(space, self._reached)
        while values is not None:
            self._reached = values
            if self._is_kept(values) and not self.was_tried(values):
                return {"status": "RUNNING", "values": values}
            values = self._next(space, values)
        return {"status": "IDLE" if self.ongoing_trials else "STOPPED"}

    def _is_kept(self, values: Mapping[str, Any]) -> bool:
        # Only one of several points that make the same drop is tried.
        return self.identity(values) == values and (self.keep is None or self.keep(values))

    def _first(self, space: Any) -> dict[str, Any]:
        return {hp.name: hp.default for hp in space.space if space.is_active(hp)}

    def _next(self, space: Any, values: Mapping[str, Any]) -> dict[str, Any] | None:
        """Returns the combination after this one, or `None` after the last one."""
        space.values = dict(values)
        # A parent precedes its children, which change first.
        for hp in reversed(space.space):
            if space.is_active(hp):
                following = [hp.default, *(value for value in hp.values if value != hp.default)]
                index = following.index(space.values[hp.name]) + 1
                if index < len(following):
                    space.values[hp.name] = following[index]
                    space.ensure_active_values()
                    return dict(space.values)
            space.values[hp.name] = hp.default
        return None


class HyperbandOracle(LastingOracle):
    """Many trials of few epochs, of which the better third continues with three times as many.

    Brackets, rounds and values are those of `keras_tuner.oracles.HyperbandOracle`. That oracle ends
    the search if no new point is left for a first round, and continues no trial of a round in which
    too many trials failed. This one closes a bracket whose first round cannot be filled with the
    trials that it has, and continues the better third of any round that has ended.

    Args:
        max_epochs: Epochs of a trial that is trained to the end.
        max_trials: Maximum number of trials; `None` means one sweep over all brackets.
        factor: One in this many trials continues, with this many times as many epochs.
        **kwargs: See `keras_tuner.Oracle`.

    Reference:
        Li et al., "Hyperband: A Novel Bandit-Based Approach to Hyperparameter Optimization", JMLR
        18, 2018.
    """

    tuner = "hyperband"

    def __init__(self, max_epochs: int, max_trials: int | None, factor: int = 3, **kwargs: Any):
        super().__init__(max_trials=max_trials, **kwargs)
        self.max_epochs = max_epochs
        self.factor = factor
        self.iterations = 1 if max_trials is None else math.inf
        self.iteration, self.bracket = 0, self.last_bracket
        self.brackets = [_bracket(self.bracket)]

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Returns values for a trial: a new point, or those of a better trial that continues."""
        for bracket in self.brackets:
            values = self._new_point(bracket, trial_id) or self._continuing(bracket, trial_id)
            if values is not None:
                return {"status": "RUNNING", "values": values}
        another = self.bracket > 0 or self.iteration + 1 < self.iterations
        if another and all(map(self._is_filled, self.brackets)):
            self.iteration += self.bracket == 0
            self.bracket = self.bracket - 1 if self.bracket else self.last_bracket
            self.brackets.append(_bracket(self.bracket))
            values = self._new_point(self.brackets[-1], trial_id)
            if values is not None:
                return {"status": "RUNNING", "values": values}
        return {"status": "IDLE" if self.ongoing_trials else "STOPPED"}

    def identity(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the values without those of the round."""
        return super().identity(
            {name: value for name, value in values.items() if name not in ROUND_VALUES}
        )

    @property
    def last_bracket(self) -> int:
        """Number of the bracket with the most rounds, which begins each sweep."""
        number = 0
        while self.max_epochs >= self.factor ** (number + 1):
            number += 1
        return number

    def size(self, bracket: int, number: int) -> int:
        """Returns how many trials a round of a bracket has."""
        last = math.ceil(1 + math.log(self.max_epochs, self.factor)) / (bracket + 1)
        return math.ceil(last * self.factor ** (bracket - number))

    def epochs(self, bracket: int, number: int) -> int:
        """Returns the epoch at which a round of a bracket ends."""
        return math.ceil(self.max_epochs / self.factor ** (bracket - number))

    def get_state(self) -> dict[str, Any]:
        """Returns the state as KerasTuner's oracle writes it."""
        return {
            **super().get_state(),
            "hyperband_iterations": self.iterations,
            "max_epochs": self.max_epochs,
            "min_epochs": 1,
            "factor": self.factor,
            "brackets": self.brackets,
            "current_bracket": self.bracket,
            "current_iteration": self.iteration,
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Restores a state."""
        super().set_state(state)
        self.max_epochs, self.factor = state["max_epochs"], state["factor"]
        self.iteration, self.bracket = state["current_iteration"], state["current_bracket"]
        self.brackets = state["brackets"]

    def _is_filled(self, bracket: dict[str, Any]) -> bool:
        return len(bracket["rounds"][0]) >= self.size(bracket["bracket_num"], 0)

    def _new_point(self, bracket: dict[str, Any], trial_id: str) -> dict[str, Any] | None:
        """Returns values of the first round, or closes the bracket if no point is left."""
        if self._is_filled(bracket) or bracket.get("closed"):
            return None
        values = self.random_values()
        if values is None:
            # A running trial may still add hyperparameters, and with them new points.
            bracket["closed"] = not self.ongoing_trials
            return None
        return self._enter(bracket, 0, values, None, trial_id)

    def _continuing(self, bracket: dict[str, Any], trial_id: str) -> dict[str, Any] | None:
        """Returns the values of the best trial that has yet to be continued, or `None`."""
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
            size = self.size(bracket["bracket_num"], number)
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
        """Records a trial in a round, and returns its values with those of the round."""
        kind = bracket["bracket_num"]
        bracket["rounds"][number].append({"past_id": past_id, "id": trial_id})
        return {
            **values,
            "tuner/epochs": self.epochs(kind, number),
            "tuner/initial_epoch": self.epochs(kind, number - 1) if number else 0,
            "tuner/bracket": kind,
            "tuner/round": number,
        }


def _bracket(number: int) -> dict[str, Any]:
    """Returns an empty bracket; its number is the number of rounds after the first one."""
    return {"bracket_num": number, "rounds": [[] for _ in range(number + 1)]}
