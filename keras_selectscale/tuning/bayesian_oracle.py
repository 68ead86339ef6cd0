"""A Bayesian search over a space of steps."""

import warnings
from typing import Any

import keras_tuner
import numpy as np
import sklearn.exceptions
import threadpoolctl
from sklearn import gaussian_process

from keras_selectscale.tuning.lasting_oracle import LastingOracle

CANDIDATES = 1000
RESTARTS = 2
# Variance of the scores' noise, as a share of their own: they are means of few seeds.
NOISE = 1e-2


class BayesianOracle(LastingOracle, keras_tuner.oracles.BayesianOptimizationOracle):
    """KerasTuner's Gaussian process, asked about points of the space instead of what is between.

    KerasTuner looks for the optimum with 50 descents over all real numbers, which takes seconds a
    trial, and then rounds it: to the same point again and again. Here it is the best of many random
    points that no trial has had, with each hyperparameter that is inactive at its default.

    Args:
        **kwargs: As of `keras_tuner.oracles.BayesianOptimizationOracle`.
    """

    def __init__(self, **kwargs: Any):
        super().__init__(**{"alpha": NOISE, **kwargs})

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Returns values for a trial, none that another trial has had."""
        done = [trial for trial in self.trials.values() if trial.status == "COMPLETED"]
        if len(done) < (self.num_initial_points or max(3 * len(self.hyperparameters.space), 3)):
            return super().populate_space(trial_id)
        # The matrices are small: to share them among threads costs more than it brings.
        with threadpoolctl.threadpool_limits(1), warnings.catch_warnings():
            # Of few trials it says that they do not tell the scale; more will.
            warnings.simplefilter("ignore", sklearn.exceptions.ConvergenceWarning)
            points, scores = self._vectorize_trials()
            self.gpr.fit(points, scores)
            candidates = self._candidates()
            if not candidates:
                return super()._random_populate_space()
            mean, deviation = self.gpr.predict(
                np.array([vector for vector, _ in candidates]), return_std=True
            )
        best = int(np.argmin(mean - self.beta * deviation))
        return {"status": "RUNNING", "values": candidates[best][1]}

    def _candidates(self) -> list[tuple[list[float], dict[str, Any]]]:
        """Returns vectors and values of points that no trial has had."""
        space = self._nonfixed_space()
        fixed = [hp for hp in self.hyperparameters.space if hp not in space]
        found = []
        for row in self._random_state.uniform(size=(CANDIDATES, len(space))):
            values: dict[str, Any] = {}
            vector = []
            # A parent stands before its children.
            for hp, share in zip(space, row, strict=True):
                active = self._holds(hp, values)
                value = hp.prob_to_value(share) if active else hp.default
                if active:
                    values[hp.name] = value
                vector.append(hp.value_to_prob(value))
            values |= {hp.name: hp.value for hp in fixed if self._holds(hp, values)}
            if not self._duplicate(values):
                found.append((vector, values))
        return found

    def _holds(self, hp: Any, values: dict[str, Any]) -> bool:
        return all(condition.is_active(values) for condition in hp.conditions)

    def _make_gpr(self) -> gaussian_process.GaussianProcessRegressor:
        return gaussian_process.GaussianProcessRegressor(
            kernel=gaussian_process.kernels.Matern(nu=2.5),
            n_restarts_optimizer=RESTARTS,
            normalize_y=True,
            alpha=self.alpha,
            random_state=self.seed,
        )
