"""The picture of the error against top rate and retaining rate, the paper's Figure 4."""

import pathlib
from collections.abc import Sequence
from typing import Any

from keras_selectscale.experiments.comparison_figure import check_drawable
from keras_selectscale.experiments.error_figure import COLOURS
from keras_selectscale.experiments.rate_curves import (
    RETAINING_RATES,
    TOP_RATES,
    Level,
    Setting,
)
from keras_selectscale.files import replacing
from keras_selectscale.layers.methods import get_method
from keras_selectscale.recipes import figure4
from keras_selectscale.wording import literal

STYLES = ("--", ":", "-.", (0, (5, 1)), (0, (1, 1)), (0, (3, 1, 1, 1)))
MOST_SETTINGS = 12  # Rows of a picture that can still be read.


def draw(
    found: Sequence[Setting], path: pathlib.Path, *, top_rate: float, retaining_rate: float
) -> None:
    """Draws a row of two panels for each setting, of which the first 12 are drawn.

    A point is the mean over the runs with the standard deviation as a bar. The best level of each
    other method is a horizontal line. A panel without a point says so.

    Args:
        found: The settings, at least one.
        path: PNG file to write. An existing one stays until the new one is complete.
        top_rate: Top rate of the right panels, as `settings` takes it.
        retaining_rate: Retaining rate of the left panels.
    """
    check_drawable()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = found[:MOST_SETTINGS]
    figure = Figure(figsize=(9, 3.9 * len(shown)), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    parts = figure.subfigures(len(shown), 1, squeeze=False)
    title = get_method(figure4.METHOD).title
    panels = (
        (TOP_RATES, "top rate", f"{title} at retaining rate {retaining_rate:g}"),
        (RETAINING_RATES, "retaining rate", f"{title} at top rate {top_rate:g}"),
    )
    for part, setting in zip(parts[:, 0], shown, strict=True):
        part.suptitle(literal(setting.title), fontsize=10)
        every = part.subplots(1, 2, sharey=True)
        for axes, (curve, label, heading) in zip(every, panels, strict=True):
            _curve(axes, setting.curves[curve])
            for number, (method, level) in enumerate(setting.others):
                axes.axhline(
                    level.error.mean,
                    ls=STYLES[number % len(STYLES)],
                    color=(*COLOURS[:1], *COLOURS[2:])[number % (len(COLOURS) - 1)],
                    linewidth=1.3,
                    label=f"{method} ({len(level.errors)})",
                )
            axes.set_xlim(-0.04, 1.04)
            axes.set_xlabel(label)
            axes.set_title(heading, fontsize=9)
            axes.grid(alpha=0.3)
            axes.spines[["top", "right"]].set_visible(False)
        every[0].set_ylabel(f"{setting.images} error (%)")
        # A panel without a point lacks the curve in its legend.
        legends = [axes.get_legend_handles_labels() for axes in every]
        handles, labels = max(legends, key=lambda each: len(each[1]))
        part.legend(handles, labels, loc="outside right center", frameon=False, fontsize=8)
    with replacing(path) as beside:
        figure.savefig(beside, format="png")


def _curve(axes: Any, points: dict[float, Level]) -> None:
    if not points:
        axes.annotate("no run", (0.5, 0.5), xycoords="axes fraction", ha="center", color="#666666")
        return
    at = sorted(points)
    axes.errorbar(
        at,
        [points[rate].error.mean for rate in at],
        yerr=[points[rate].deviation or 0.0 for rate in at],
        fmt="o-",
        color=COLOURS[1],
        markersize=4.5,
        linewidth=1.4,
        capsize=3,
        label=f"{get_method(figure4.METHOD).title} ({_counts(points)})",
    )


def _counts(points: dict[float, Level]) -> str:
    counts = sorted({len(level.errors) for level in points.values()})
    return f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
