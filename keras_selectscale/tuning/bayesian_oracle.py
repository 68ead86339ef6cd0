"""A Bayesian search that predicts the score of every candidate and tries the most promising one."""

import warnings
from collections.abc import Sequence
from typing import Any

import keras_tuner
import numpy as np
import sklearn.exceptions
import threadpoolctl

# KerasTuner's public API has no classes of hyperparameters. A public property that tells a fixed
# value from a choice could replace it.
from keras_tuner.engine.hyperparameters import Fixed
from sklearn import gaussian_process

from keras_selectscale.tuning.kerastuner import LastingOracle

# Random points of the whole space are followed by points near the best ones, nearer in each round.
CANDIDATES = 1000
NEIGHBOURS = 200
DISTANCES = (0.2, 0.05, 0.01)
CENTRES = 10
RESTARTS = 2
# Variance of the noise in the scores, as a share of their variance: a score is a mean of few seeds.
NOISE = 1e-2
# Bounds in units of a hyperparameter's range. Below the lower bound, every point is far from every
# other one, and the process predicts its prior everywhere. With a bound of 1e-5, a third of the
# fits ended there.
LENGTH_SCALES = (0.05, 20.0)
# A fit takes time with the third power of its trials. Up to MOST_TRIALS all are fitted; of more,
# the BEST_TRIALS best and of the others as many as are left, evenly from the first to the last.
MOST_TRIALS, BEST_TRIALS = 200, 80


class BayesianOracle(LastingOracle):
    """A Gaussian process that is evaluated only on points of the search space.

    KerasTuner minimizes the acquisition function with 50 descents over the unit cube, which takes
    seconds per trial, and then rounds the optimum to a point of the space, often one that it has
    already tried. This oracle compares many random points that no trial has had, and then
    neighbours of the best ones, so that it also converges in continuous spaces. Inactive
    hyperparameters have their defaults. Beyond 200 trials it fits the 80 best and 120 of the
    others, spread evenly over the search, so that the time of a trial stays bounded.

    Args:
        num_initial_points: Random points before the first fit; `None` for three per hyperparameter,
            at least three.
        alpha: Variance of the noise in the scores, as a share of their variance.
        beta: Weight of the predicted deviation. A larger weight explores more.
        **kwargs: See `keras_tuner.Oracle`.
    """

    tuner = "bayesian"

    def __init__(
        self,
        num_initial_points: int | None = None,
        alpha: float = NOISE,
        beta: float = 2.6,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.num_initial_points = num_initial_points
        self.alpha = alpha
        self.beta = beta
        self._draw = np.random.RandomState(self.seed)

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Returns values for a trial that no other trial has had."""
        done = [trial for trial in self.trials.values() if trial.status == "COMPLETED"]
        values = None
        if len(done) >= (self.num_initial_points or max(3 * len(self.hyperparameters.space), 3)):
            # Sharing such small matrices among threads costs more than it saves.
            with threadpoolctl.threadpool_limits(1), warnings.catch_warnings():
                # With few trials the fit cannot settle its length scale and warns; ignore it.
                warnings.simplefilter("ignore", sklearn.exceptions.ConvergenceWarning)
                values = self._most_promising(done)
        values = values or self.random_values()
        return {"status": "STOPPED"} if values is None else {"status": "RUNNING", "values": values}

    def get_state(self) -> dict[str, Any]:
        """Returns the state as KerasTuner's oracle writes it."""
        own = {name: getattr(self, name) for name in ("num_initial_points", "alpha", "beta")}
        return {**super().get_state(), **own}

    def set_state(self, state: dict[str, Any]) -> None:
        """Restores a state."""
        super().set_state(state)
        self.num_initial_points = state["num_initial_points"]
        self.alpha, self.beta = state["alpha"], state["beta"]

    def _most_promising(self, done: Sequence[Any]) -> dict[str, Any] | None:
        """Returns the values with the lowest confidence bound, or `None` if all have been tried."""
        process, points = self._fitted(done)

        def bounds(vectors: np.ndarray) -> np.ndarray:
            mean, deviation = process.predict(vectors, return_std=True)
            return mean - self.beta * deviation

        draw = self._draw
        candidates = self._untried(draw.uniform(size=(CANDIDATES, points.shape[1])))
        if not candidates:
            return None
        # The trials themselves are also centres, but not candidates.
        known = [*((vector, None) for vector in points)]
        for distance in DISTANCES:
            vectors = np.array([vector for vector, _ in [*candidates, *known]])
            centres = vectors[np.argsort(bounds(vectors), kind="stable")[:CENTRES]]
            chosen = centres[draw.randint(len(centres), size=NEIGHBOURS)]
            # Only about half of the values change: many optima lie on an edge or a corner.
            step = draw.normal(scale=distance, size=chosen.shape)
            step *= draw.uniform(size=chosen.shape) < 0.5
            candidates += self._untried(np.clip(chosen + step, 0.0, 1.0))
        lowest = np.argmin(bounds(np.array([vector for vector, _ in candidates])))
        return candidates[int(lowest)][1]

    def _fitted(
        self, done: Sequence[Any]
    ) -> tuple[gaussian_process.GaussianProcessRegressor, np.ndarray]:
        """Returns the process that was fitted to the scores, and the trials' vectors."""
        sign = -1.0 if self.objective.direction == "max" else 1.0
        scores = sign * np.array([trial.score for trial in done], dtype="float64")
        chosen = fitted_trials(scores)
        points, scores = (
            np.array([self._vector(done[place].hyperparameters) for place in chosen]),
            scores[chosen],
        )
        process = self._process().fit(points, scores)
        running = [self._vector(trial.hyperparameters) for trial in self.ongoing_trials.values()]
        if not running:
            return process, points
        # A pessimistic guess for the trials that other workers run keeps this one away from them.
        mean, deviation = process.predict(np.array(running), return_std=True)
        points, scores = np.vstack([points, running]), np.append(scores, mean + deviation)
        process.set_params(kernel=process.kernel_, optimizer=None)
        return process.fit(points, scores), points

    def _untried(self, shares: np.ndarray) -> list[tuple[list[float], dict[str, Any]]]:
        """Returns vectors and values of those points of the unit cube that no trial has had."""
        space = self._varied()
        fixed = [hp for hp in self.hyperparameters.space if hp not in space]
        found = []
        for row in shares:
            values: dict[str, Any] = {}
            vector = []
            # A parent precedes its children.
            for hp, share in zip(space, row, strict=True):
                active = self._holds(hp, values)
                value = hp.prob_to_value(share) if active else hp.default
                if active:
                    values[hp.name] = value
                vector.append(hp.value_to_prob(value))
            values |= {hp.name: hp.value for hp in fixed if self._holds(hp, values)}
            if not self.was_tried(values):
                found.append((vector, values))
        return found

    def _vector(self, hyperparameters: keras_tuner.HyperParameters) -> list[float]:
        """Returns a trial's point in the unit cube. Missing hyperparameters have their defaults."""
        values = hyperparameters.values
        return [
            hp.value_to_prob(
                values[hp.name]
                if hp.name in values and hyperparameters.is_active(hp)
                else hp.default
            )
            for hp in self._varied()
        ]

    def _varied(self) -> list[Any]:
        return [hp for hp in self.hyperparameters.space if not isinstance(hp, Fixed)]

    def _holds(self, hp: Any, values: dict[str, Any]) -> bool:
        return all(condition.is_active(values) for condition in hp.conditions)

    def _process(self) -> gaussian_process.GaussianProcessRegressor:
        return gaussian_process.GaussianProcessRegressor(
            kernel=gaussian_process.kernels.Matern(nu=2.5, length_scale_bounds=LENGTH_SCALES),
            n_restarts_optimizer=RESTARTS,
            normalize_y=True,
            alpha=self.alpha,
            random_state=self.seed,
        )


def fitted_trials(scores: np.ndarray) -> np.ndarray:
    """Returns the places of the trials to fit, in their order; the lowest score is the best."""
    if len(scores) <= MOST_TRIALS:
        return np.arange(len(scores))
    order = np.argsort(scores, kind="stable")
    others = np.sort(order[BEST_TRIALS:])
    spread = np.linspace(0, len(others) - 1, MOST_TRIALS - BEST_TRIALS).round().astype(int)
    return np.sort(np.concatenate([order[:BEST_TRIALS], others[spread]]))
