"""The picture of a comparison."""

import dataclasses
import pathlib
from typing import Any, TypedDict

from keras_selectscale.checks import ArgumentValueError, shown, value_error
from keras_selectscale.environment import require
from keras_selectscale.files import DamagedFileError, convert, replacing
from keras_selectscale.object_checks import as_instance, as_path
from keras_selectscale.wording import counted, literal


class DrawnRecipe(TypedDict):
    """What the title of the picture needs of a recipe."""

    network: str
    dataset: str
    epochs: int


@dataclasses.dataclass(frozen=True)
class MethodSummary:
    """A method in `comparison.json`. Errors are in percent.

    Attributes:
        title: Name of the method in tables.
        top_rate: Top rate, or `None` if the method does not select.
        retaining_rate: Retaining rate, or `None` for no drop.
        test_errors: Test error of each run, by seed.
        mean: Mean of the test errors.
        standard_deviation: Their standard deviation, or `None` for one run.
    """

    title: str
    top_rate: float | None
    retaining_rate: float | None
    test_errors: list[float]
    mean: float
    standard_deviation: float | None


class DrawnSummary(TypedDict):
    """What the picture needs of `comparison.json`."""

    recipe: DrawnRecipe
    seeds: list[int]
    methods: dict[str, MethodSummary]
    train_images: int
    test_images: int


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
        ValueError: If the summary has no comparison, or a field has another type or value.
    """
    check_drawable()
    as_instance("summary", summary, dict, "the content of comparison.json")
    _check(summary)
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
    axes.set_yticks(range(len(methods)), [literal(_label(method)) for method in methods])
    axes.set_ylim(len(methods) - 0.4, -0.6)
    axes.set_xlabel(f"test error (%) on {counted(summary['test_images'], 'image')}")
    axes.grid(axis="x", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(
        literal(f"{recipe['network']} on {recipe['dataset']}: ")
        + f"{counted(summary['train_images'], 'training image')}, "
        f"{counted(recipe['epochs'], 'epoch')}, {counted(len(summary['seeds']), 'seed')}",
        fontsize=11,
    )
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    with replacing(path) as beside:
        figure.savefig(beside, format="png")


def _check(summary: dict[str, Any]) -> None:
    try:
        convert(summary, DrawnSummary, pathlib.Path("comparison.json"))
    except DamagedFileError as error:
        message = f"Argument `summary` must be the content of comparison.json. Received: {error}"
        raise ArgumentValueError.about("summary", message) from None
    if not summary["methods"]:
        raise value_error("summary", "one with one or more methods", summary)
    for name, method in summary["methods"].items():
        values = [*method["test_errors"], method["mean"], method["standard_deviation"] or 0.0]
        if not all(0 <= value <= 100 for value in values):
            raise value_error("summary", f"one with errors from 0 to 100 for {shown(name)}", values)


def _label(method: dict[str, Any]) -> str:
    if method["retaining_rate"] is None:
        return method["title"]
    rates = f"retaining {method['retaining_rate']:g}"
    if method["top_rate"] is not None:
        rates = f"top {method['top_rate']:g}, {rates}"
    # The title of a method at other rates than the defaults names them, too.
    return f"{method['title'].partition(' (')[0]}\n{rates}"
