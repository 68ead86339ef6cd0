"""The picture of training curves: loss, training error and, with a curriculum, retaining rate."""

import pathlib
from collections.abc import Sequence

import numpy as np

from keras_selectscale.experiments.comparison_figure import check_drawable
from keras_selectscale.files import replacing
from keras_selectscale.training import Recipe, RunFolder
from keras_selectscale.wording import literal

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
STYLES = ("-", "--", ":", "-.")


def retaining_rates(recipe: Recipe, epochs: int) -> np.ndarray | None:
    """Returns the linear curriculum's rate at the end of each epoch; `None` if there is none."""
    if recipe.curriculum != "linear" or recipe.retaining_rate is None:
        return None
    done = np.arange(1, epochs + 1) / recipe.epochs
    return 1 - (1 - recipe.retaining_rate) * done


def draw(runs: Sequence[RunFolder], path: pathlib.Path) -> None:
    """Draws the training curves of runs, finished or not.

    The training error is that of the epoch's batches, with drops and augmentation. The rate of a
    linear curriculum has a third panel.

    Args:
        runs: The runs.
        path: PNG file to write. An existing one stays until the new one is complete.

    Raises:
        DamagedFileError: If a file of a run is damaged.
        FileNotFoundError: If a folder is not that of a run.
        ValueError: If a run has no finished epoch.
    """
    check_drawable()
    found = [(run, run.recipe(), run.read_history()) for run in runs]
    for run, _, rows in found:
        if not rows:
            raise ValueError(f"{run.path} has no finished epoch in its history.csv")
    rates = [retaining_rates(recipe, len(rows)) for _, recipe, rows in found]
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    panels = 2 + any(rate is not None for rate in rates)
    figure = Figure(figsize=(4.4 * panels, 4), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, panels)
    for number, ((run, _, rows), rate) in enumerate(zip(found, rates, strict=True)):
        at = [int(row["epoch"]) for row in rows]
        curves = [
            [float(row["loss"]) for row in rows],
            [100 * (1 - float(row["accuracy"])) for row in rows],
            rate,
        ]
        for panel, values in zip(axes, curves, strict=False):
            if values is not None:
                panel.plot(
                    at,
                    values,
                    STYLES[number // len(COLOURS) % len(STYLES)],
                    color=COLOURS[number % len(COLOURS)],
                    linewidth=1.3,
                    label=literal("/".join(run.path.resolve().parts[-2:])),
                )
    for panel, title in zip(
        axes, ("training loss", "training error (%)", "retaining rate"), strict=False
    ):
        panel.set_xlabel("epoch")
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
        panel.set_ylabel(title)
        panel.set_ylim(bottom=0)
        panel.grid(alpha=0.3)
        panel.spines[["top", "right"]].set_visible(False)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=1, frameon=False, fontsize=8)
    with replacing(path) as beside:
        figure.savefig(beside, format="png")
