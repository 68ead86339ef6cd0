"""The results of recorded runs, grouped by recipe: means, intervals, differences from no drop."""

import dataclasses
import functools
import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from keras_selectscale import recipes
from keras_selectscale.experiments.recorded_runs import Found as Found
from keras_selectscale.experiments.recorded_runs import RecordedRun, recipe_key
from keras_selectscale.experiments.recorded_runs import find_runs as find_runs
from keras_selectscale.layers.methods import get_method
from keras_selectscale.recipes import PublishedCell
from keras_selectscale.recipes.controls import CONTROL_SCORES
from keras_selectscale.training import Recipe
from keras_selectscale.training.recipe import WITHOUT_DROP
from keras_selectscale.wording import counted

CONFIDENCE = 0.95
# How the interval of a mean is computed.
INTERVAL_METHOD = "Student's t"
# What a recipe has for no drop.
NO_DROP: dict[str, Any] = {
    "drop": "none",
    "top_rate": None,
    "retaining_rate": None,
    "score": None,
    **WITHOUT_DROP,
}


class Interval(NamedTuple):
    """A mean with its confidence interval, which a single value does not have."""

    mean: float
    low: float | None
    high: float | None


class Difference(NamedTuple):
    """The difference of a group's mean test error from that of no drop, in percentage points.

    Attributes:
        mean: The difference; negative if the drop is better.
        low: Lower end of the 95% interval; `None` if there are too few runs.
        high: Upper end.
        pairs: Number of seeds that both groups have, 0 if they are compared unpaired.
        method: How the interval was computed.
    """

    mean: float
    low: float | None
    high: float | None
    pairs: int
    method: str


@dataclasses.dataclass(frozen=True)
class ResultGroup:
    """The runs of one recipe, apart from their seeds.

    Attributes:
        recipe: The recipe of the first run.
        runs: The runs by seed.
        test_error: Mean test error in percent, with its 95% interval (Student's t).
        deviation: Standard deviation over the runs (n - 1); `None` for one run.
        published: The cell of the paper's tables with this recipe, if there is one.
        difference: Difference from the group without a drop; `None` if there is none.
    """

    recipe: Recipe
    runs: tuple[RecordedRun, ...]
    test_error: Interval
    deviation: float | None
    published: PublishedCell | None
    difference: Difference | None = None

    @property
    def errors(self) -> dict[int, float]:
        """Test error by seed, in percent."""
        return {run.recipe.seed: run.result["test_error"] for run in self.runs}

    @property
    def name(self) -> str:
        """The name of the published cell, or network, dataset and drop."""
        if self.published is not None:
            return self.published.name
        return f"{self.recipe.network}/{self.recipe.dataset}/{self.recipe.drop}"

    @property
    def settings(self) -> str:
        """What distinguishes the group from others of its name."""
        recipe = self.recipe
        parts = [counted(recipe.epochs, "epoch"), recipe.precision]
        if recipe.train_size is not None:
            parts.insert(0, counted(recipe.train_size, "image"))
        parts += [f"{n} {v:g}" for n, v in self.rates.items()]
        parts += [f"{recipe.curriculum} curriculum"] * (recipe.curriculum != "none")
        parts += [f"score {recipe.score}"] * (recipe.score not in (None, "max"))
        if recipe.last_drop != WITHOUT_DROP["last_drop"]:
            parts.append(f"last drop {recipe.last_drop.replace('_', ' ')}")
        return ", ".join(parts)

    @property
    def rates(self) -> dict[str, float]:
        """The rates of the drop by their letters in the paper."""
        if self.recipe.drop == "none":
            return {}
        letters = {"t": self.recipe.top_rate, "q": self.recipe.retaining_rate}
        if get_method(self.recipe.drop).divides:  # The paper calls it p if the method divides.
            letters = {"t": self.recipe.top_rate, "p": self.recipe.retaining_rate}
        return {letter: rate for letter, rate in letters.items() if rate is not None}


def group_runs(runs: Sequence[RecordedRun]) -> list[ResultGroup]:
    """Groups runs by recipe, in the order of the paper's tables and then by name.

    Returns:
        The groups, each with its difference from the group that has the same recipe without a
        drop: paired by seed if at least one seed is shared, and unpaired otherwise.
    """
    by_key: dict[str, dict[int, RecordedRun]] = {}
    for run in runs:
        by_key.setdefault(recipe_key(run.recipe), {}).setdefault(run.recipe.seed, run)
    groups = {
        key: _group([by_seed[seed] for seed in sorted(by_seed)]) for key, by_seed in by_key.items()
    }
    for key, group in groups.items():
        baseline = groups.get(recipe_key(dataclasses.replace(group.recipe, **NO_DROP)))
        if baseline is not None and baseline is not group:
            groups[key] = dataclasses.replace(group, difference=difference(group, baseline))
    order = {name: place for place, name in enumerate(recipes.names())}

    def place(group: ResultGroup) -> tuple[Any, ...]:
        drop = group.recipe.drop
        by_drop = (drop != "none", drop)
        return (
            order.get(group.name, len(order)),
            group.name.rsplit("/", 1)[0],
            by_drop,
            group.settings,
        )

    return sorted(groups.values(), key=place)


def against_controls(groups: Sequence[ResultGroup]) -> Iterator[tuple[ResultGroup, ResultGroup]]:
    """Yields each group with each group that differs in the score alone, which is a control."""
    by_key = {recipe_key(group.recipe): group for group in groups}
    for group in groups:
        if group.recipe.score is None or group.recipe.score in CONTROL_SCORES:
            continue
        for score in CONTROL_SCORES:
            control = by_key.get(recipe_key(dataclasses.replace(group.recipe, score=score)))
            if control is not None:
                yield group, control


def _group(runs: list[RecordedRun]) -> ResultGroup:
    errors = np.array([run.result["test_error"] for run in runs])
    deviation = float(errors.std(ddof=1)) if len(errors) > 1 else None
    return ResultGroup(
        runs[0].recipe, tuple(runs), interval(errors), deviation, _published(runs[0].recipe)
    )


def interval(values: Sequence[float] | np.ndarray) -> Interval:
    """Returns the mean with its 95% interval by Student's t; one value has no interval."""
    values = np.asarray(values, "float64")
    mean = float(values.mean())
    if len(values) < 2:
        return Interval(mean, None, None)
    half = stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1) * stats.sem(values)
    return Interval(mean, mean - float(half), mean + float(half))


def difference(group: ResultGroup, baseline: ResultGroup) -> Difference:
    """Returns the difference of two groups' mean errors with a 95% interval.

    Seeds that both groups have are paired (Student's t of the differences). Without a shared seed
    the interval is Welch's, for unequal variances.
    """
    ours, theirs = group.errors, baseline.errors
    shared = sorted(set(ours) & set(theirs))
    if shared:
        found = interval([ours[seed] - theirs[seed] for seed in shared])
        return Difference(*found, len(shared), "paired t")
    one, other = np.array(list(ours.values())), np.array(list(theirs.values()))
    mean = float(one.mean() - other.mean())
    if len(one) < 2 or len(other) < 2:
        return Difference(mean, None, None, 0, "Welch's t")
    ends = stats.ttest_ind(one, other, equal_var=False).confidence_interval(CONFIDENCE)
    low, high = float(ends.low), float(ends.high)
    if math.isnan(low):  # Neither group varies.
        low = high = mean
    return Difference(mean, low, high, 0, "Welch's t")


def _published(recipe: Recipe) -> PublishedCell | None:
    """Returns the cell of the paper's tables that was trained, in whatever precision."""
    return _published_cells(recipe.precision).get(recipe_key(recipe))


@functools.cache
def _published_cells(precision: str) -> dict[str, PublishedCell]:
    cells = [recipes.get(name) for name in recipes.names()]
    return {
        recipe_key(dataclasses.replace(c.recipe, precision=precision)): c for c in reversed(cells)
    }
