"""Draws how the cost of a layer grows with the size of its input."""

import pathlib
from typing import Any

from keras_selectscale.benchmarking.growth import METHODS, SWEEPS
from keras_selectscale.benchmarking.layer_sides import SIDES
from keras_selectscale.checks import value_error
from keras_selectscale.environment import require
from keras_selectscale.files import replacing
from keras_selectscale.object_checks import as_path, as_string

COLORS = dict(zip(METHODS, ("#666666", "#33547f", "#c98a1b", "#b3342d"), strict=True))
MARKERS = dict(zip(METHODS, ("s", "^", "v", "o"), strict=True))
LABELS = {
    "channels": "channels, batch {batch}, maps of {edge}x{edge}",
    "batch": "batch, maps of {edge}x{edge}, {channels} channels",
    "resolution": "size of the maps, batch {batch}, {channels} channels",
}


def draw_growth(backends: dict[str, dict[str, Any]], path: pathlib.Path, note: str = "") -> None:
    """Draws the time of each layer against channels, batch and resolution on logarithmic axes.

    Each backend and mode has a row of three panels. A dashed line of slope 1 shows linear growth,
    and the legends show the exponents.

    Args:
        backends: Results of `run_bench` by backend.
        path: PNG to write.
        note: Text to append to the title.

    Raises:
        ValueError: If `backends` has no results of the section "growth".
        ModuleNotFoundError: If matplotlib is not installed.
    """
    require("matplotlib", "cli", "A picture")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    try:
        lines = [
            (backend, mode, [row for row in found["rows"]["growth"] if row["mode"] == mode], found)
            for backend, found in backends.items()
            for mode in dict.fromkeys(row["mode"] for row in found["rows"]["growth"])
        ]
    except Exception:
        lines = []
    if not lines:
        raise value_error("backends", "results of `run_bench` by backend", backends)
    path, note = as_path("path", path), as_string("note", note)
    figure = Figure(figsize=(13, 0.6 + 4.1 * len(lines)), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(lines), len(SWEEPS), squeeze=False)
    for (backend, mode, rows, result), row_of_panels in zip(lines, panels, strict=True):
        for axes, varied in zip(row_of_panels, SWEEPS, strict=True):
            own = [row for row in rows if row["varied"] == varied]
            _draw_panel(axes, own, varied)
            precision = own[0]["precision"] if own else ""
            axes.set_title(f"{backend} {mode}, {precision}, {result['device']}", fontsize=9)
        # All panels of a row share one scale.
        low = min(axes.get_ylim()[0] for axes in row_of_panels)
        high = max(axes.get_ylim()[1] for axes in row_of_panels)
        for axes in row_of_panels:
            axes.set_ylim(low, high)
    figure.suptitle(
        "Time of a drop layer, forward and backward; in parentheses, the exponent in the size "
        f"of the input for the larger half of the sizes (1: linear){note}",
        fontsize=11,
    )
    with replacing(path) as beside:
        figure.savefig(beside, format="png")


def _draw_panel(axes: Any, rows: list[dict[str, Any]], varied: str) -> None:
    from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    for row in rows:
        exponent = row["exponent_of_larger_half"]
        fitted = "" if exponent is None else f" ({exponent:.2f})"
        axes.plot(
            _places(row),
            [1e3 * time for time in row["seconds"]],
            MARKERS[row["side"]] + "-",
            color=COLORS[row["side"]],
            markersize=5,
            label=f"{SIDES[row['side']].title}{fitted}",
        )
    if rows:
        places, values = _places(rows[0]), rows[0]["values"]
        times = [1e3 * time for row in rows for time in row["seconds"]]
        # Below the curves, because it is a slope and not a measurement, and cut so that it does not
        # extend the axis.
        end = 0.5e3 * min(row["seconds"][-1] for row in rows)
        start = max(places[0], places[-1] * min(1.0, 0.3 * min(times) / end))
        axes.plot(
            [start, places[-1]],
            [end * start / places[-1], end],
            "--",
            color="#999999",
            linewidth=1.2,
            label="linear",
        )
        squares = varied == "resolution"
        axes.set_xticks(places, [f"{each}x{each}" if squares else f"{each:,}" for each in values])
        axes.xaxis.set_minor_locator(NullLocator())
        batch, edge, _, channels = rows[0]["shape"]
        axes.set_xlabel(LABELS[varied].format(batch=batch, edge=edge, channels=channels))
        axes.legend(fontsize=7, frameon=False, loc="upper left")
    axes.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.yaxis.set_minor_formatter(StrMethodFormatter("{x:g}"))
    axes.set_ylabel("milliseconds")
    axes.tick_params(which="both", labelsize=8)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def _places(row: dict[str, Any]) -> list[int]:
    """Returns values to which the number of elements of the input is proportional."""
    return [value**2 if row["varied"] == "resolution" else value for value in row["values"]]
