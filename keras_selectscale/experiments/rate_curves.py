"""The error against the rates of a selecting drop, the numbers of the paper's Figure 4."""

import csv
import dataclasses
import io
import json
from collections.abc import Iterable, Sequence

import numpy as np

from keras_selectscale.checks import as_number
from keras_selectscale.experiments.recorded_runs import NOT_COMPARED
from keras_selectscale.experiments.results import NO_DROP, Interval, ResultGroup, interval
from keras_selectscale.layers.methods import get_method
from keras_selectscale.recipes import figure4
from keras_selectscale.training import Recipe
from keras_selectscale.training.recipe import WITHOUT_DROP
from keras_selectscale.wording import counted

TOLERANCE = 1e-6
COLUMNS = (
    *("setting", "error", "curve", "method", "score", "top_rate", "retaining_rate"),
    *("n", "mean", "standard_deviation", "low", "high"),
)
TOP_RATES, RETAINING_RATES, OTHERS = "top_rate", "retaining_rate", "level"


@dataclasses.dataclass(frozen=True)
class Level:
    """The errors of one drop, over its seeds.

    Attributes:
        recipe: Recipe of the runs, apart from their seeds.
        errors: Error of each run, in percent.
        images: The images that the errors are on: `"test"` or `"validation"`.
    """

    recipe: Recipe
    errors: tuple[float, ...]
    images: str = "test"

    @property
    def error(self) -> Interval:
        """Mean over the runs with its 95% interval (Student's t)."""
        return interval(self.errors)

    @property
    def deviation(self) -> float | None:
        """Standard deviation over the runs (n - 1); `None` for one run."""
        return float(np.std(self.errors, ddof=1)) if len(self.errors) > 1 else None

    @property
    def is_selecting(self) -> bool:
        """Whether this is the method of the figure with the paper's score."""
        return self.recipe.drop == figure4.METHOD and self.recipe.score in (None, "max")


@dataclasses.dataclass(frozen=True)
class Setting:
    """What differs in the drop alone: two curves, and the levels of the other methods.

    Attributes:
        title: Network, dataset and training.
        images: As in `Level`.
        curves: Levels by rate, for the curves `"top_rate"` and `"retaining_rate"`.
        others: The best level of each other method with its label.
    """

    title: str
    images: str
    curves: dict[str, dict[float, Level]]
    others: tuple[tuple[str, Level], ...]


def levels_of_runs(groups: Iterable[ResultGroup]) -> list[Level]:
    """Returns the levels of recorded runs, grouped by recipe."""
    return [Level(group.recipe, tuple(group.errors.values())) for group in groups]


def settings(
    levels: Sequence[Level],
    *,
    top_rate: float = figure4.TOP_RATE,
    retaining_rate: float = figure4.RETAINING_RATE,
) -> list[Setting]:
    """Returns the settings that have a point of a curve, those with the most points first.

    Runs that differ in the network, the dataset or the training are in different settings. A level
    without a drop belongs to every setting of its network and training. If several levels have the
    same rates, the first is taken.

    Args:
        levels: Levels of runs or of trials.
        top_rate: Top rate of the curve against the retaining rate.
        retaining_rate: Retaining rate of the curve against the top rate.

    Raises:
        ValueError: If a rate is out of range.
    """
    top_rate = as_number("top_rate", top_rate, 0, 1, above=True)
    retaining_rate = as_number("retaining_rate", retaining_rate, 0, 1)
    plain = [level for level in levels if level.recipe.drop == "none"]
    by_key: dict[str, list[Level]] = {}
    for level in levels:
        if level.recipe.drop != "none":
            by_key.setdefault(_key(level, WITHOUT_DROP), []).append(level)
    found = []
    for members in by_key.values():
        curves: dict[str, dict[float, Level]] = {TOP_RATES: {}, RETAINING_RATES: {}}
        for level in members:
            top, rate = level.recipe.top_rate, level.recipe.retaining_rate
            if not level.is_selecting or top is None or rate is None:
                continue
            if abs(rate - retaining_rate) < TOLERANCE:
                curves[TOP_RATES].setdefault(top, level)
            if abs(top - top_rate) < TOLERANCE:
                curves[RETAINING_RATES].setdefault(rate, level)
        if any(curves.values()):
            first = members[0]
            none = [each for each in plain if _key(each) == _key(first)]
            others = tuple(_others([*none[:1], *members]))
            found.append(Setting(_title(first.recipe), first.images, curves, others))
    return sorted(found, key=lambda each: -sum(map(len, each.curves.values())))


def _key(level: Level, kept: Iterable[str] = ()) -> str:
    """Returns what a level shares with those without a drop, and the fields that are kept."""
    plain = dataclasses.replace(level.recipe, **NO_DROP).as_json()
    fields = {name: value for name, value in plain.items() if name not in NOT_COMPARED}
    own = {name: getattr(level.recipe, name) for name in kept}
    return json.dumps([level.images, fields, own], sort_keys=True, default=str)


def _title(recipe: Recipe) -> str:
    parts = [f"{recipe.network} on {recipe.dataset}"]
    if recipe.train_size is not None:
        parts.append(counted(recipe.train_size, "training image"))
    parts += [counted(recipe.epochs, "epoch"), recipe.precision]
    for name, absent in WITHOUT_DROP.items():
        if (value := getattr(recipe, name)) != absent:
            parts.append(f"{name.replace('_', ' ')} {value}")
    return ", ".join(parts)


def _others(members: Sequence[Level]) -> Iterable[tuple[str, Level]]:
    by_method: dict[tuple[str, str | None], list[Level]] = {}
    for level in members:
        if not level.is_selecting:
            by_method.setdefault((level.recipe.drop, level.recipe.score), []).append(level)
    for (drop, score), each in by_method.items():
        best = min(each, key=lambda level: level.error.mean)
        label = get_method(drop).title
        if score not in (None, "max"):
            label += f", score {score}"
        if len(each) > 1:
            label += f", best of {len(each)}"
        yield label, best


def as_csv(found: Sequence[Setting]) -> str:
    """Returns a row for each point of the curves and each level of the other methods."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for setting in found:
        rows = [
            (curve, points[rate])
            for curve, points in setting.curves.items()
            for rate in sorted(points)
        ]
        rows += [(OTHERS, level) for _, level in setting.others]
        for curve, level in rows:
            recipe = level.recipe
            writer.writerow(
                [setting.title, setting.images, curve, recipe.drop, recipe.score]
                + [recipe.top_rate, recipe.retaining_rate, len(level.errors)]
                + [level.error.mean, level.deviation, level.error.low, level.error.high]
            )
    return text.getvalue()
