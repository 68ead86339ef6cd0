"""Trains published cells again, and compares the errors with the paper's."""

import dataclasses
import pathlib
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from rich.progress import Progress

from keras_selectscale import environment
from keras_selectscale.argument_names import named_arguments, named_attributes
from keras_selectscale.checks import as_integer, value_error
from keras_selectscale.data import Dataset
from keras_selectscale.experiments.cells import Cell, open_cells, run_cells
from keras_selectscale.object_checks import as_instance, as_sequence
from keras_selectscale.recipes import PublishedCell
from keras_selectscale.training import Devices, Recipe
from keras_selectscale.wording import counted

MOST_RUNS = 1000


@named_attributes
@dataclasses.dataclass(frozen=True)
class Reproduction:
    """Published cells, and how much of them to train.

    Attributes:
        published: The cells, at least one.
        runs: Number of runs of each cell, with seeds 0 to n - 1; `None` for the paper's number.
        epochs: Number of epochs; `None` for the recipe's.
        train_size: Number of training images; `None` for all.
        precision: Precision; `None` for the recipe's float32.
        seeds: Seeds of the runs of each cell instead of `runs`, all different; `None` for 0 to
            n - 1.
        normalization: `"fused"` or `"keras"`; `None` for the recipe's `"fused"`. Runs that exist
            keep the one with which they began.

    Raises:
        TypeError: If a value has the wrong type.
        ValueError: If a value is out of range, or both `runs` and `seeds` are given.
    """

    published: tuple[PublishedCell, ...]
    runs: int | None = None
    epochs: int | None = None
    train_size: int | None = None
    precision: str | None = None
    seeds: tuple[int, ...] | None = None
    normalization: str | None = None

    def __post_init__(self) -> None:
        """Checks the values."""
        published = as_sequence("published", self.published)
        for cell in published:
            as_instance("published", cell, PublishedCell, "a sequence of PublishedCell")
        if not published:
            raise value_error("published", "one or more cells", self.published)
        object.__setattr__(self, "published", published)
        if self.runs is not None:
            object.__setattr__(self, "runs", as_integer("runs", self.runs, 1, MOST_RUNS))
        if self.seeds is not None:
            seeds = tuple(as_integer("seeds", s, 0) for s in as_sequence("seeds", self.seeds))
            if not seeds or len(set(seeds)) < len(seeds) or len(seeds) > MOST_RUNS:
                raise value_error("seeds", f"1 to {MOST_RUNS} different seeds", self.seeds)
            if self.runs is not None:
                raise value_error("seeds", "left out if `runs` is given", self.seeds)
            object.__setattr__(self, "seeds", seeds)
        for cell in self.published:
            self.recipe(cell, 0)

    def recipe(self, cell: PublishedCell, seed: int) -> Recipe:
        """Returns the recipe of one run of a cell."""
        changes: dict[str, Any] = {}
        if self.train_size is not None:
            changes["train_size"] = self.train_size
        if self.epochs is not None:
            changes["epochs"] = self.epochs
        if self.precision is not None:
            changes["precision"] = self.precision
        if self.normalization is not None:
            changes["normalization"] = self.normalization
        return dataclasses.replace(cell.recipe, seed=seed, **changes)

    def seeds_of(self, cell: PublishedCell) -> tuple[int, ...]:
        """Returns the seeds of the runs of a cell."""
        return self.seeds or tuple(range(cell.runs if self.runs is None else self.runs))

    def recipes(self, cell: PublishedCell) -> list[Recipe]:
        """Returns the recipe of each run of a cell."""
        return [self.recipe(cell, seed) for seed in self.seeds_of(cell)]

    def difference(self, cell: PublishedCell) -> str:
        """Returns how the runs fall short of the recipe, or an empty string."""
        short = []
        if self.epochs is not None and self.epochs != cell.recipe.epochs:
            short.append(f"{self.epochs} of {counted(cell.recipe.epochs, 'epoch')}")
        if self.train_size is not None:
            short.append(counted(self.train_size, "training image"))
        if self.precision not in (None, cell.recipe.precision):
            short.append(str(self.precision))
        seeds = self.seeds_of(cell)
        if len(seeds) != cell.runs:
            short.append(f"{len(seeds)} of {counted(cell.runs, 'run')}")
        if seeds != tuple(range(len(seeds))):
            short.append(f"seeds {', '.join(map(str, seeds))}")
        return ", ".join(short)

    def open(self, folder: pathlib.Path, devices: Devices | None = None) -> list[Cell]:
        """Creates the folder of every run, or checks the existing one.

        A cell has the same folders whether it runs alone or with its table.

        Args:
            folder: Folder of the runs.
            devices: Where to train, already started; `None` for one device.

        Raises:
            ValueError: If a folder holds a run of another recipe.
            OSError: If a folder cannot be created.
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


@named_arguments
def run_reproduction(
    reproduction: Reproduction,
    cells: Sequence[Cell],
    images: Mapping[tuple[str, int], Dataset],
    progress: Progress,
    devices: Devices | None = None,
    *,
    checkpoint_seconds: float | None = None,
) -> dict[str, Any]:
    """Trains the missing runs.

    Args:
        reproduction: What to train.
        cells: The runs, from `Reproduction.open`.
        images: Dataset of each run, by its name and the seed of the run.
        progress: Display, already started.
        devices: Where to train, already started.
        checkpoint_seconds: As `train` takes it.

    Returns:
        `rows`, one per cell with the paper's numbers, the results, and the differences from the
        recipe; and `environment`. Errors are in percent.
    """
    results = iter(
        run_cells(cells, images, progress, devices, checkpoint_seconds=checkpoint_seconds)
    )
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
            "seeds": list(reproduction.seeds_of(cell)),
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
