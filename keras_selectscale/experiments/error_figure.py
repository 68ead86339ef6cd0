"""The picture of the errors with drops at test time, the paper's Figure 3."""

import pathlib
from collections.abc import Sequence

import numpy as np

from keras_selectscale.experiments.comparison_figure import check_drawable
from keras_selectscale.experiments.drops_at_test_time import Curve
from keras_selectscale.experiments.error_table import Point, Settings
from keras_selectscale.files import replacing
from keras_selectscale.wording import literal

# The colours of Okabe and Ito, which remain distinct for colour-blind readers.
COLOURS = ("#E69F00", "#0072B2", "#56B4E9", "#D55E00", "#009E73", "#CC79A7")
MARKERS = ("s", "o", "^", "D", "v", "P")
# The left end of the second panel, which enlarges the weak drops.
NEAR_ONE = 0.89


def draw(
    points: Sequence[Point], settings: Settings, chosen: Sequence[Curve], path: pathlib.Path
) -> None:
    """Draws test error against retaining rate: means over the draws, with their range as a band.

    The right panel enlarges the rates near 1. Curves of which only some points exist are drawn with
    those.

    Args:
        points: The points, among them that of the network without a drop.
        settings: What they were computed with.
        chosen: The curves.
        path: PNG file to write. An existing one stays until the new one is complete.
    """
    check_drawable()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4.4), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, 2, sharey=True, width_ratios=(1.2, 1))
    base = [point.error for point in points if point.method == "none"]
    draws = 0
    for curve, colour, marker in zip(chosen, COLOURS * 2, MARKERS * 2, strict=False):
        found: dict[float, list[float]] = {1.0: base} if base else {}
        for point in points:
            top = curve.top_rate_at(point.retaining_rate)
            if point.method == curve.method and point.top_rate == top:
                found.setdefault(point.retaining_rate, []).append(point.error)
        if len(found) < 2:  # No point yet.
            continue
        at = sorted(found)
        mean = [np.mean(found[rate]) for rate in at]
        draws = max(draws, *(len(found[rate]) for rate in at))
        for axes in panels:
            axes.plot(
                at, mean, color=colour, marker=marker, markersize=4.5, linewidth=1.4,
                label=curve.label,
            )  # fmt: skip
            low = [min(found[rate]) for rate in at]
            high = [max(found[rate]) for rate in at]
            axes.fill_between(at, low, high, color=colour, alpha=0.25, linewidth=0)
    for axes in panels:
        axes.set_xlabel("retaining rate")
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_ylim(0, 100)
    lowest = min((point.retaining_rate for point in points), default=0.0)
    panels[0].set_xlim(min(lowest, NEAR_ONE) - 0.02, 1.02)
    panels[1].set_xlim(NEAR_ONE, 1.003)
    panels[1].set_title("the weakest drops, enlarged", fontsize=10)
    panels[0].set_title("all rates", fontsize=10)
    panels[0].set_ylabel(f"test error (%) on {settings.images:,} images")
    number = f", {draws} draws each (band: their range)" if draws > 1 else ""
    figure.suptitle(
        literal(f"Drops applied at test time to {settings.network} ({settings.dataset}){number}"),
        fontsize=11,
    )
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    with replacing(path) as beside:
        figure.savefig(beside, format="png")
