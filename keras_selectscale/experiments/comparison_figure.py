"""The picture of a comparison."""

import pathlib
from typing import Any

from keras_selectscale.checks import value_error
from keras_selectscale.environment import require
from keras_selectscale.files import replacing
from keras_selectscale.object_checks import as_instance, as_path
from keras_selectscale.wording import counted

SUMMARISED = ("recipe", "methods", "seeds", "train_images", "test_images")


def check_drawable() -> None:
    """Checks that a picture can be drawn, before hours of training.

    Raises:
        ModuleNotFoundError: If matplotlib is not installed.
    """
    require("matplotlib", "cli", "A picture")


def draw_comparison(summary: dict[str, Any], path: pathlib.Path) -> None:
    """Draws each run's test error, and each method's mean ± standard deviation.

    Args:
        summary: Content of `comparison.json`.
        path: PNG file to write. An existing one stays until the new one is complete.

    Raises:
        ModuleNotFoundError: If matplotlib is not installed.
        OSError: If the file cannot be written.
        TypeError: If an argument has the wrong type.
        ValueError: If the summary has no comparison.
    """
    check_drawable()
    as_instance("summary", summary, dict, "the content of comparison.json")
    if not set(SUMMARISED) <= set(summary):
        raise value_error("summary", f"a dict with the keys {', '.join(SUMMARISED)}", summary)
    path = as_path("path", path)
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    recipe, methods = summary["recipe"], list(summary["methods"].values())
    figure = Figure(figsize=(8, 4.2), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for row, method in enumerate(methods):
        # Runs of equal error are drawn next to each other, so that none hides another.
        seen: dict[float, int] = {}
        for error in method["test_errors"]:
            seen[error] = seen.get(error, -1) + 1
            axes.plot(
                error, row + 0.14 * seen[error], "o", color="#7a8ba6", markersize=6, alpha=0.8
            )
        axes.errorbar(
            method["mean"],
            row - 0.22,
            xerr=method["standard_deviation"] or 0.0,
            fmt="D",
            color="#b3342d",
            markersize=5,
            capsize=4,
        )
    if plain := [each["mean"] for each in methods if each["retaining_rate"] is None]:
        axes.axvline(plain[0], color="#b3342d", ls=":", lw=1, zorder=0, label="mean without a drop")
    axes.plot([], [], "o", color="#7a8ba6", label="one run")
    axes.errorbar([], [], xerr=[], fmt="D", color="#b3342d", label="mean ± standard deviation")
    axes.set_yticks(range(len(methods)), [_label(method) for method in methods])
    axes.set_ylim(len(methods) - 0.4, -0.6)
    axes.set_xlabel(f"test error (%) on {counted(summary['test_images'], 'image')}")
    axes.grid(axis="x", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(
        f"{recipe['network']} on {recipe['dataset']}: "
        f"{counted(summary['train_images'], 'training image')}, "
        f"{counted(recipe['epochs'], 'epoch')}, {counted(len(summary['seeds']), 'seed')}",
        fontsize=11,
    )
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    with replacing(path) as beside:
        figure.savefig(beside, format="png")


def _label(method: dict[str, Any]) -> str:
    if method["retaining_rate"] is None:
        return method["title"]
    rates = f"retaining {method['retaining_rate']:g}"
    if method["top_rate"] is not None:
        rates = f"top {method['top_rate']:g}, {rates}"
    # The title of a method at other rates than the defaults names them, too.
    return f"{method['title'].partition(' (')[0]}\n{rates}"
