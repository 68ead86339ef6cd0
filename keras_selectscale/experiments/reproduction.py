"""Published cells trained again, ours beside the paper's."""

import dataclasses
import pathlib
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from rich.progress import Progress

from keras_selectscale import environment
from keras_selectscale.data import AnyImages
from keras_selectscale.experiments.cells import Cell, open_cells, run_cells
from keras_selectscale.recipes import PublishedCell
from keras_selectscale.training import Devices, Recipe

MOST_RUNS = 1000


@dataclasses.dataclass(frozen=True)
class Reproduction:
    """Published cells, and how much of them is trained.

    Attributes:
        published: The cells.
        runs: Runs of each, seeds 0 to n - 1; `None` for as many as the paper averages.
        epochs: Epochs instead of the recipe's.
        train_size: Training images instead of all.
        precision: Precision instead of the recipe's float32.

    Raises:
        TypeError: Where a number is no integer.
        ValueError: Where one is below 1.
    """

    published: tuple[PublishedCell, ...]
    runs: int | None = None
    epochs: int | None = None
    train_size: int | None = None
    precision: str | None = None

    def __post_init__(self) -> None:
        """Checks the numbers."""
        if self.runs is not None and not 1 <= self.runs <= MOST_RUNS:
            raise ValueError(
                f"Argument `runs` must be from 1 to {MOST_RUNS}. Received: runs={self.runs}"
            )
        for cell in self.published:
            self.recipe(cell, 0)

    def recipe(self, cell: PublishedCell, seed: int) -> Recipe:
        """Returns the recipe of one run of a cell."""
        changes: dict[str, Any] = {"train_size": self.train_size}
        if self.epochs is not None:
            changes["epochs"] = self.epochs
        if self.precision is not None:
            changes["precision"] = self.precision
        return dataclasses.replace(cell.recipe, seed=seed, **changes)

    def recipes(self, cell: PublishedCell) -> list[Recipe]:
        """Returns the recipe of each run of a cell."""
        runs = cell.runs if self.runs is None else self.runs
        return [self.recipe(cell, seed) for seed in range(runs)]

    def difference(self, cell: PublishedCell) -> str:
        """Says in what the runs fall short of the recipe; empty where they do not."""
        short = []
        if self.epochs is not None and self.epochs != cell.recipe.epochs:
            short.append(f"{self.epochs} of {cell.recipe.epochs} epochs")
        if self.train_size is not None:
            short.append(f"{self.train_size:,} training images")
        if self.precision not in (None, cell.recipe.precision):
            short.append(str(self.precision))
        runs = cell.runs if self.runs is None else self.runs
        if runs != cell.runs:
            short.append(f"{runs} of {cell.runs} runs")
        return ", ".join(short)

    def open(self, folder: pathlib.Path, devices: Devices | None = None) -> list[Cell]:
        """Makes or takes up the folder of every run.

        A cell has the same folders whether it is run by itself or with its table.

        Args:
            folder: Folder of the runs.
            devices: Where to train, already started; `None` is one device.

        Raises:
            ValueError: Where one holds a run of another recipe.
            OSError: Where one cannot be made.
        """
        size = f"-{self.train_size}" if self.train_size else ""
        if self.precision not in (None, "float32"):
            size += f"-{self.precision}"
        return open_cells(
            [
                (
                    cell.name,
                    recipe,
                    folder
                    / f"{cell.name.replace('/', '-')}-{recipe.epochs}ep{size}"
                    / f"seed{recipe.seed}",
                )
                for cell in self.published
                for recipe in self.recipes(cell)
            ],
            devices,
        )


def run_reproduction(
    reproduction: Reproduction,
    cells: Sequence[Cell],
    images: Mapping[tuple[str, int], AnyImages],
    progress: Progress,
    devices: Devices | None = None,
) -> dict[str, Any]:
    """Trains the runs that are missing.

    Args:
        reproduction: What to train.
        cells: The runs, from `Reproduction.open`.
        images: The dataset of each run, by its name and the run's seed.
        progress: Display, already started.
        devices: Where to train, already started.

    Returns:
        `rows`, one for each cell with the paper's numbers, ours, and what is different; and
        `environment`. Errors are in percent.
    """
    results = iter(run_cells(cells, images, progress, devices))
    rows = []
    for cell in reproduction.published:
        done = [next(results) for _ in reproduction.recipes(cell)]
        row: dict[str, Any] = {
            "name": cell.name,
            "source": cell.source,
            "paper_error": cell.error,
            "paper_deviation": cell.deviation,
            "paper_runs": cell.runs,
            "runs": len(done),
            "difference": reproduction.difference(cell),
            "note": cell.note,
            **_summary([result["test_error"] for result in done], ""),
        }
        if cell.top5_error is not None:
            row["paper_top5_error"] = cell.top5_error
            row |= _summary([result["test_top5_error"] for result in done], "top5_")
        rows.append(row)
    return {"rows": rows, "environment": environment.describe()}


def _summary(errors: list[float], prefix: str) -> dict[str, Any]:
    return {
        f"{prefix}errors": errors,
        f"{prefix}mean": statistics.fmean(errors),
        f"{prefix}deviation": statistics.stdev(errors) if len(errors) > 1 else None,
    }
