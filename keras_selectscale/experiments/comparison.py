"""The main job: one network without drop and with each method, over several seeds."""

import dataclasses
import pathlib
import statistics
from collections.abc import Iterator, Mapping
from typing import Any

import keras
from rich.progress import Progress

from keras_selectscale import data as datasets
from keras_selectscale import environment
from keras_selectscale.checks import as_choices
from keras_selectscale.experiments.cells import Cell, open_cells, run_cells
from keras_selectscale.experiments.comparison_figure import check_drawable, draw_comparison
from keras_selectscale.exporting import ExportError, export
from keras_selectscale.layers.methods import METHODS, PAPER_METHODS
from keras_selectscale.training import DamagedRunError, Devices, Recipe, RunFolder
from keras_selectscale.training.run_folder import read_json, write_json

MOST_SEEDS = 1000
LIMITS = (
    "What this shows: that every method trains, saves and exports, and at what spread over the "
    "seeds. What it does not show: which method is better. The runs are few and short; the paper's "
    "claims are about 200 epochs on all of CIFAR."
)


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What is compared: a recipe without drop, by every method, over seeds 0 to n - 1.

    Attributes:
        base: Recipe of every cell but for its drop and its seed.
        seeds: How many seeds, at least 1.
        methods: Names of the drop methods to compare.
    """

    base: Recipe
    seeds: int
    methods: tuple[str, ...] = PAPER_METHODS

    def __post_init__(self) -> None:
        """Checks the number of seeds and the methods."""
        object.__setattr__(self, "methods", as_choices("methods", self.methods, METHODS))
        if not 1 <= self.seeds <= MOST_SEEDS:
            raise ValueError(
                f"Argument `seeds` must be from 1 to {MOST_SEEDS}. Received: seeds={self.seeds}"
            )

    def cells(self) -> Iterator[tuple[str, Recipe]]:
        """Yields the name and the recipe of each cell; every method has seed 0 before seed 1."""
        for seed in range(self.seeds):
            for method in self.methods:
                recipe = dataclasses.replace(self.base, drop=method, seed=seed)
                yield f"{method}-seed{seed}", recipe

    def began(self, folder: pathlib.Path) -> dict[str, Any] | None:
        """Returns the recipe, as JSON, of the first cell in a folder, or `None` where it is new.

        Raises:
            DamagedRunError: Where its file is damaged.
        """
        name, _ = next(self.cells())
        run = RunFolder(folder / "cells" / name)
        return run.read_recipe() if run.config_path.exists() else None

    def open(self, folder: pathlib.Path, devices: Devices | None = None) -> list[Cell]:
        """Makes or takes up the folder of every cell.

        Args:
            folder: Folder of the comparison.
            devices: Where to train; `None` is one device.

        Raises:
            ValueError: Where one holds a run of another recipe.
            OSError: Where one cannot be made.
        """
        return open_cells(
            [
                (METHODS[recipe.drop].title, recipe, folder / "cells" / name)
                for name, recipe in self.cells()
            ],
            devices,
        )


def run_comparison(
    comparison: Comparison,
    folder: pathlib.Path,
    cells: list[Cell],
    images: Mapping[tuple[str, int], datasets.AnyImages],
    progress: Progress,
    devices: Devices | None = None,
) -> dict[str, Any]:
    """Trains the cells that are missing and writes `comparison.json`, `.png` and the export.

    Args:
        comparison: What to compare.
        folder: Folder of the comparison.
        cells: The runs, from `Comparison.open`.
        images: The dataset of each run, by its name and the run's seed.
        progress: Display, already started.
        devices: Where to train, already started; `None` is one device.

    Returns:
        The content of `comparison.json`.
    """
    finished = _read_finished(comparison, folder, cells)
    if finished is not None:
        return finished
    check_drawable()
    done = run_cells(cells, images, progress, devices)
    results: dict[str, list[dict[str, Any]]] = {method: [] for method in comparison.methods}
    for cell, result in zip(cells, done, strict=True):
        results[cell.recipe.drop].append(result)
    summary = _summarise(comparison, results, images[comparison.base.dataset, 0])
    best = min(range(len(cells)), key=lambda number: done[number]["test_error"])
    summary["best_run"] = cells[best].run.path.name
    summary["export"] = _export(cells[best].run, folder)
    write_json(folder / "comparison.json", summary)
    draw_comparison(summary, folder / "comparison.png")
    return summary


def _read_finished(
    comparison: Comparison, folder: pathlib.Path, cells: list[Cell]
) -> dict[str, Any] | None:
    """Returns the summary of a comparison of which nothing is missing, else `None`."""
    written = ["comparison.json", "comparison.png"]
    if keras.backend.backend() == "tensorflow":
        written.append("saved_model")
    if not all((folder / name).exists() for name in written):
        return None
    if any(cell.run.read_result() is None for cell in cells):
        return None
    try:
        summary = read_json(folder / "comparison.json")
    except DamagedRunError:  # It is made again from the runs.
        return None
    same = summary.get("seeds") == list(range(comparison.seeds)) and list(
        summary.get("methods", ())
    ) == list(comparison.methods)
    return summary if same else None


def _summarise(
    comparison: Comparison,
    results: dict[str, list[dict[str, Any]]],
    images: datasets.AnyImages,
) -> dict[str, Any]:
    methods = {}
    for method, rows in results.items():
        errors = [row["test_error"] for row in rows]
        recipe = dataclasses.replace(comparison.base, drop=method)
        methods[method] = {
            "title": METHODS[method].title,
            "top_rate": recipe.top_rate,
            "retaining_rate": recipe.retaining_rate,
            "test_errors": errors,
            "mean": statistics.fmean(errors),
            "standard_deviation": statistics.stdev(errors) if len(errors) > 1 else None,
        }
    base = comparison.base.as_json()
    for key in ("drop", "top_rate", "retaining_rate", "score", "seed"):
        del base[key]
    return {
        "recipe": base,
        "seeds": list(range(comparison.seeds)),
        "parameters": next(iter(results.values()))[0]["parameters"],
        "train_images": images.train_count,
        "test_images": images.count("test"),
        "methods": methods,
        "limits": f"{_spread(methods)} {LIMITS}",
        "environment": environment.describe(),
    }


def _spread(methods: dict[str, dict[str, Any]]) -> str:
    means = [method["mean"] for method in methods.values()]
    sentence = f"From best to worst the means are {max(means) - min(means):.2f} points apart"
    deviations = [method["standard_deviation"] for method in methods.values()]
    if None in deviations:
        return f"{sentence}; one seed has no spread."
    pooled = statistics.fmean(d**2 for d in deviations) ** 0.5
    return f"{sentence}; the standard deviation over seeds, pooled, is {pooled:.2f} points."


def _export(run: RunFolder, folder: pathlib.Path) -> dict[str, Any]:
    """Exports a run, in the place of an older export, once it is proved."""
    path = folder / "saved_model"
    if keras.backend.backend() != "tensorflow":
        return {"skipped": "a SavedModel is written by the TensorFlow backend alone"}
    model = keras.models.load_model(run.checkpoint_path)
    try:
        report = export(model, path, overwrite=True)
    except ExportError as error:
        if error.report is None:
            raise
        report = error.report
    return {**report.as_json(), "path": path.name}
