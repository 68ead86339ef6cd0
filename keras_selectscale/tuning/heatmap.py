"""The picture of a search."""

import pathlib
from collections.abc import Sequence
from typing import Any

from keras_selectscale.files import replacing
from keras_selectscale.layers.methods import METHODS
from keras_selectscale.tuning.objective import TrialRow
from keras_selectscale.tuning.search import Search
from keras_selectscale.tuning.space import (
    FIGURE4_METHOD,
    FIGURE4_RETAINING_RATE,
    FIGURE4_TOP_RATE,
)
from keras_selectscale.wording import counted, literal

ERROR_LABEL = "validation error (%)"
BEST_COLOR, LINE_COLOR, FAILED_COLOR = "#b3342d", "#33547f", "#666666"
# Without it, one trial that did not learn would stretch the colour scale.
SCALE_SHARE = 0.8
# More numbers than this are not legible.
MOST_NUMBERS = 120


def draw_heatmap(
    search: Search, trials: Sequence[TrialRow], path: pathlib.Path, best: str | None = None
) -> None:
    """Draws the trials over top rate and retaining rate, and the two curves of Figure 4.

    Each method has a panel. If several trials share their rates, the panel shows the lowest error.
    A curve is drawn if SelectScale has trials at several top rates with retaining rate 0, or at
    several retaining rates with top rate 0.2: at least two in a grid, three in any other search.

    Args:
        search: The search.
        trials: Its trials so far.
        path: PNG file to write, under a temporary name that is then renamed.
        best: Id of the trial that is marked as the best.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    ended = [(search.space.rates(t.values), t) for t in trials if t.status != "RUNNING"]
    methods = [method for method in search.methods if method != "none"]
    # In a grid, two points are a requested curve; in other searches, they may be there by chance.
    curves = _curves(ended, fewest=2 if search.tuner == "grid" else 3)
    columns = max(len(methods), len(curves), 1)
    rows = 1 + bool(curves)
    figure = Figure(figsize=(max(6.0, 4.6 * columns), 4.4 * rows), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(rows, 1)
    upper = grid[0].subgridspec(1, max(len(methods), 1))
    scale = _scale([t.score for _, t in ended if t.score is not None])
    drawn, axes_of = None, []
    for column, method in enumerate(methods):
        axes = figure.add_subplot(upper[column])
        own = [(rates, t) for rates, t in ended if rates["drop"] == method]
        drawn = _draw_method(axes, method, own, scale, best) or drawn
        axes_of.append(axes)
    if drawn is not None:
        figure.colorbar(
            drawn, ax=axes_of, label=ERROR_LABEL, extend="max" if scale[2] else "neither"
        )
    marks = []
    if any(t.id == best and rates["drop"] != "none" for rates, t in ended):
        frame: dict[str, Any] = {"marker": "s", "mfc": "none", "mec": BEST_COLOR, "mew": 2}
        marks.append(Line2D([], [], ls="", label="best trial", **frame))
    if any(t.score is None for _, t in ended):
        marks.append(Line2D([], [], ls="", marker="x", color=FAILED_COLOR, label="failed"))
    if marks:
        figure.legend(handles=marks, loc="outside lower center", ncols=2, frameon=False, fontsize=8)
    if curves:
        lower = grid[1].subgridspec(1, len(curves))
        for column, (title, rate, points) in enumerate(curves):
            axes = figure.add_subplot(lower[column])
            _draw_curve(axes, title, rate, points, ended)
    plain = [t for rates, t in ended if rates["drop"] == "none" and t.score is not None]
    without = f"; without data drop {min(map(_score, plain)):.3g}%" if plain else ""
    recipe = search.recipe
    done = sum(t.score is not None for _, t in ended)
    size = "" if recipe.train_size is None else f" ({recipe.train_size:,} training images)"
    figure.suptitle(
        f"{recipe.network} on {literal(recipe.dataset)}{size}: {search.tuner} search, "
        f"{counted(done, 'trial')} of {counted(search.seeds, 'seed')}, "
        f"{counted(recipe.epochs, 'epoch')}{without}",
        fontsize=10,
    )
    with replacing(path) as beside:
        figure.savefig(beside, format="png")


def _draw_method(axes: Any, method: str, own: list, scale: tuple, best: str | None) -> Any:
    """Draws the trials of one method as squares, and returns the artist that has the colours."""
    selecting = METHODS[method].top_rate is not None
    axes.set_title(METHODS[method].title, fontsize=10)
    axes.set_xlabel("top rate" if selecting else "all feature maps")
    axes.set_ylabel("retaining rate (1: no drop)")
    places: dict[tuple[float, float], list[TrialRow]] = {}
    for rates, trial in own:
        x = rates["top_rate"] if selecting else 1.0
        places.setdefault((x, rates["retaining_rate"]), []).append(trial)
    failed = [place for place, each in places.items() if all(t.score is None for t in each)]
    scored = {
        place: min((t for t in each if t.score is not None), key=_score)
        for place, each in places.items()
        if place not in failed
    }
    low = min([0.0 if selecting else 0.9, *(x - 0.05 for x, _ in places)])
    axes.set_xlim(low, 1.05 if selecting else 1.1)
    floor = 0.45 if METHODS[method].divides else -0.07
    axes.set_ylim(min([floor, *(y - 0.08 for _, y in places)]), 1.05)
    if not own:
        axes.annotate("no trial", (0.5, 0.5), xycoords="axes fraction", ha="center")
    # The lowest retaining rate is a straight line over the top rate.
    ends = (0.0, 1.0)
    bound = [METHODS[method].space.lowest_retaining_rate(top_rate) for top_rate in ends]
    if selecting and any(bound):
        axes.fill_between(ends, bound, -0.2, color="#eeeeee", hatch="//", lw=0, zorder=0)
        axes.annotate(
            "not feasible", (0.02, axes.get_ylim()[0] + 0.02), fontsize=8, color="#555555"
        )
    if not selecting:
        axes.set_xticks([])
    drawn = None
    if scored:
        x, y = zip(*scored, strict=True)
        drawn = axes.scatter(
            x, y, c=[t.score for t in scored.values()], marker="s", s=260,
            cmap="viridis_r", vmin=scale[0], vmax=scale[1], edgecolors="white", zorder=2,
        )  # fmt: skip
        if len(scored) <= MOST_NUMBERS:
            middle = (scale[0] + scale[1]) / 2
            for place, trial in scored.items():
                color = "white" if _score(trial) > middle else "black"
                axes.annotate(
                    f"{trial.score:.3g}", place, ha="center", va="center", fontsize=6, color=color,
                    zorder=4,
                )  # fmt: skip
    if failed:
        axes.plot(*zip(*failed, strict=True), "x", color=FAILED_COLOR, zorder=2)
    for place, trial in scored.items():
        if trial.id == best:
            axes.plot(*place, "s", markersize=18, mfc="none", mec=BEST_COLOR, mew=2, zorder=3)
    return drawn


def _draw_curve(axes: Any, title: str, rate: str, points: dict, ended: list) -> None:
    x = sorted(points)
    axes.errorbar(
        x,
        [points[each].score for each in x],
        yerr=[points[each].deviation or 0.0 for each in x],
        fmt="o-",
        color=LINE_COLOR,
        capsize=3,
        label="SelectScale, mean ± standard deviation",
    )
    others: dict[str, TrialRow] = {}
    for rates, trial in ended:
        if rates["drop"] != FIGURE4_METHOD and trial.score is not None:
            known = others.get(rates["drop"])
            others[rates["drop"]] = trial if known is None else min(known, trial, key=_score)
    for number, (method, trial) in enumerate(sorted(others.items())):
        label = METHODS[method].title + ("" if method == "none" else ", best")
        axes.axhline(
            trial.score, ls=("--", ":", "-.")[number % 3], color=f"C{number + 1}", label=label
        )
    axes.set_title(title, fontsize=10)
    axes.set_xlabel(rate)
    axes.set_ylabel(ERROR_LABEL)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=7)


def _curves(ended: list, fewest: int) -> list[tuple[str, str, dict[float, TrialRow]]]:
    def points(rate: str, held: str, at: float) -> dict[float, TrialRow]:
        found: dict[float, TrialRow] = {}
        for rates, trial in ended:
            if rates["drop"] == FIGURE4_METHOD and rates[held] == at and trial.score is not None:
                known = found.get(rates[rate])
                found[rates[rate]] = trial if known is None else min(known, trial, key=_score)
        return found

    tops = points("top_rate", "retaining_rate", FIGURE4_RETAINING_RATE)
    rates = points("retaining_rate", "top_rate", FIGURE4_TOP_RATE)
    curves = [
        (f"SelectScale at retaining rate {FIGURE4_RETAINING_RATE:g} (Figure 4a)", "top rate", tops),
        (f"SelectScale at top rate {FIGURE4_TOP_RATE:g} (Figure 4b)", "retaining rate", rates),
    ]
    return [curve for curve in curves if len(curve[2]) >= fewest]


def _scale(scores: list[float]) -> tuple[float, float, bool]:
    """Returns the ends of the colour scale, and whether a score is above them."""
    if not scores:
        return 0.0, 1.0, False
    ranked = sorted(scores)
    high = ranked[min(int(SCALE_SHARE * len(ranked)), len(ranked) - 1)]
    return ranked[0], max(high, ranked[0] + 1e-6), ranked[-1] > high


def _score(trial: TrialRow) -> float:
    return trial.score or 0.0
