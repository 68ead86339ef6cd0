"""What a search minimizes or maximizes: one metric, or the sum of several."""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import keras
import keras_tuner

# Not in KerasTuner's public API. The public `Oracle(objective=name)` infers the direction too, but
# only as a part of a whole oracle.
from keras_tuner.engine.metrics_tracking import infer_metric_direction

from keras_selectscale.checks import shown, type_error, value_error

# The results of `DropHyperModel.fit` for images, and the names of the logs that they come from.
OBJECTIVE = "validation_error"
RESULTS_IN_LOGS = {
    OBJECTIVE: ("val_accuracy", lambda accuracy: 100 * (1 - accuracy)),
    "validation_loss": ("val_loss", float),
    "train_error": ("accuracy", lambda accuracy: 100 * (1 - accuracy)),
}
Metrics = dict[str, float]


class TrialRow(NamedTuple):
    """A trial as the folder records it.

    Attributes:
        id: Its id.
        status: `"COMPLETED"`, `"FAILED"` or `"RUNNING"`. A trial that was interrupted by a kill is
            `"RUNNING"` until the search continues.
        values: Its hyperparameters without the inactive ones.
        errors: Validation error of each completed seed, in percent.
        message: Reason for its failure.
    """

    id: str
    status: str
    values: dict[str, Any]
    errors: list[float]
    message: str = ""

    @property
    def score(self) -> float | None:
        """Mean over the seeds, if the trial is completed."""
        return statistics.fmean(self.errors) if self.status == "COMPLETED" else None

    @property
    def deviation(self) -> float | None:
        """Standard deviation over the seeds, if the trial is completed and has at least two."""
        completed = self.status == "COMPLETED" and len(self.errors) > 1
        return statistics.stdev(self.errors) if completed else None


def parts_of(objective: keras_tuner.Objective) -> list[keras_tuner.Objective]:
    """Returns the parts of a sum of objectives, or the objective itself."""
    return list(getattr(objective, "objectives", [objective]))


def check_objective(objective: Any) -> Any:
    """Checks an objective for KerasTuner's oracles, and returns it.

    Args:
        objective: Name of a metric, a `keras_tuner.Objective`, a list of these, or `None` for the
            `validation_error` that a `DropHyperModel` returns for images.

    Raises:
        TypeError: If it is something else.
        ValueError: If a list is empty or repeats a metric, or a direction is not "min" or "max".
    """
    if objective is None:
        return keras_tuner.Objective(OBJECTIVE, "min")
    several = isinstance(objective, (list, tuple))
    parts = list(objective) if several else [objective]
    for part in parts:
        if not isinstance(part, (str, keras_tuner.Objective)):
            raise type_error(
                "objective", "a metric's name, a keras_tuner.Objective or a list of these", part
            )
        if isinstance(part, str):
            if infer_metric_direction(part) is None:
                raise value_error(
                    "objective",
                    "a keras_tuner.Objective for a metric that Keras does not have",
                    part,
                )
            continue
        for each in parts_of(part):
            if each.direction not in ("min", "max"):
                raise value_error(
                    "objective", 'an Objective with the direction "min" or "max"', str(each)
                )
    names = [part if isinstance(part, str) else part.name for part in parts]
    if not names or len(set(names)) < len(names):
        raise value_error("objective", "one metric or several different ones", objective)
    return parts if several else objective


def missing_in(metrics: Mapping[str, Any], objective: keras_tuner.Objective) -> list[str]:
    """Returns the names of the metrics that an objective needs and that are missing."""
    if objective.has_value(metrics):
        return []
    return [part.name for part in parts_of(objective) if part.name not in metrics]


def as_metrics(results: Any, objective: keras_tuner.Objective, source: str) -> Metrics:
    """Returns the metrics of one run of a trial, with the objective among them.

    For a history, the epoch with the best objective counts. An epoch with a NaN objective is never
    the best.

    Args:
        results: Return value of `HyperModel.fit`: a number, a dictionary, a `History`, or a list of
            these, which is averaged.
        objective: What is optimized.
        source: Name of the function that returned the results, for an error message.

    Raises:
        keras_tuner.errors.FatalTypeError: If the results are of another type.
        keras_tuner.errors.FatalValueError: If the objective is not among them.
    """
    if isinstance(results, list) and results:
        runs = [as_metrics(each, objective, source) for each in results]
        return {name: statistics.fmean(run[name] for run in runs) for name in runs[0]}
    if isinstance(results, keras.callbacks.History):
        metrics = _best_epoch(results.history, objective)
    elif isinstance(results, Mapping):
        metrics = dict(results)
    elif isinstance(results, (int, float)) or hasattr(results, "__float__"):
        metrics = {objective.name: results}
    else:
        raise keras_tuner.errors.FatalTypeError(
            f"{source} must return a number, a dictionary of metrics, a History or a list of them. "
            f"Received: {shown(results)} (of type {type(results).__name__})"
        )
    if missing := missing_in(metrics, objective):
        raise not_reported(missing, metrics, source)
    if objective.name not in metrics:
        metrics[objective.name] = objective.get_value(metrics)
    return {name: float(value) for name, value in metrics.items()}


def is_hopeless(objective: keras_tuner.Objective, first: float, best: Any, margin: float) -> bool:
    """Returns whether a trial is not trained with its other seeds.

    It is not if its first seed is worse than the score of the best trial by more than the margin.
    Its score, that of its first seed, can then not become the best.

    Args:
        objective: What is optimized.
        first: Objective of the trial's first seed.
        best: The best trial so far, which counts if it is completed.
        margin: In the unit of the objective.
    """
    if best.status != "COMPLETED":
        return False
    worse_by = first - best.score if objective.direction == "min" else best.score - first
    return worse_by > margin


def check_finite(
    results: Any, metrics: Mapping[str, float], objective: keras_tuner.Objective, seed: int
) -> None:
    """Checks that the objective can be compared with those of other trials.

    Other metrics may be NaN, such as the F1 score of a class that was never predicted.

    Args:
        results: As `as_metrics` takes them; the last loss of a history must be finite.
        metrics: What it returned.
        objective: What is optimized.
        seed: Seed of the run, for the message.

    Raises:
        FloatingPointError: If the objective or the loss is infinite or NaN.
    """
    losses = getattr(results, "history", {}).get("loss", [])
    if losses and not math.isfinite(losses[-1]):
        raise FloatingPointError(
            f"the loss is {losses[-1]} with seed {seed}: a lower learning rate may help"
        )
    for name in [*(part.name for part in parts_of(objective)), objective.name]:
        value = metrics.get(name, 0.0)
        if not math.isfinite(value):
            raise FloatingPointError(
                f"{name} is {value} with seed {seed}: a lower learning rate may help"
            )


def is_better(objective: keras_tuner.Objective, value: float, best: float | None) -> bool:
    """Returns whether a value is better than the best one; NaN never is."""
    if math.isnan(value):
        return False
    return best is None or bool(objective.better_than(value, best))


def _best_epoch(history: Mapping[str, Sequence[float]], objective: Any) -> dict[str, float]:
    """Returns the metrics of the best epoch that has the objective, or those of the last epoch."""
    epochs: list[dict[str, float]] = [{} for _ in range(max(map(len, history.values()), default=0))]
    # With `validation_freq`, some metrics have fewer values than others.
    for name, values in history.items():
        for metrics, value in zip(epochs, values, strict=False):
            metrics[name] = value
    chosen, best = epochs[-1] if epochs else {}, None
    for metrics in epochs:
        if objective.has_value(metrics):
            value = objective.get_value(metrics)
            if best is None or is_better(objective, value, best):
                chosen, best = metrics, None if math.isnan(value) else value
    return chosen


def not_reported(missing: Sequence[str], metrics: Mapping[str, Any], source: str) -> Exception:
    """Returns the error of an objective that is not among the metrics."""
    return keras_tuner.errors.FatalValueError(
        f"Argument `objective` must name metrics that are reported: {source} reported "
        f"{sorted(metrics)}, not {' and '.join(map(repr, missing))}"
    )
