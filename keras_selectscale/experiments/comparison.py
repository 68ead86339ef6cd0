"""The main job: one network without a drop and with each method, over several seeds."""

import dataclasses
import itertools
import pathlib
import statistics
from collections.abc import Iterator, Mapping
from typing import Any

import keras
from rich.progress import Progress

from keras_selectscale import data as datasets
from keras_selectscale import environment
from keras_selectscale.argument_names import named_arguments, named_attributes
from keras_selectscale.checks import as_integer
from keras_selectscale.experiments.cells import Cell, open_cells, run_cells
from keras_selectscale.experiments.comparison_figure import (
    MethodSummary,
    check_drawable,
    draw_comparison,
)
from keras_selectscale.experiments.contenders import (
    as_contenders,
    folder_name,
    recipe_of,
    remark,
    title,
)
from keras_selectscale.exporting import ExportError, export
from keras_selectscale.files import DamagedFileError, convert, read_json, write_json
from keras_selectscale.layers.methods import PAPER_METHODS
from keras_selectscale.object_checks import as_instance
from keras_selectscale.training import Devices, Recipe, RunFolder
from keras_selectscale.wording import counted

MOST_SEEDS = 1000
LIMITS = (
    "What this shows: that every method trains, saves and exports, and at what spread over the "
    "seeds. What it does not show: which method is better. The runs are few and short; the paper's "
    "claims are about 200 epochs on all of CIFAR."
)


@dataclasses.dataclass(frozen=True)
class Summary:
    """The fields of `comparison.json` that a report needs.

    Attributes:
        recipe: Recipe of every cell as JSON, without its drop and its seed.
        seeds: The seeds.
        methods: Results by the name of the method.
        limits: What the comparison shows and what it does not.
        best_run: Name of the run with the lowest test error.
        export: Report of the export of that run.
        train_images: Number of training images.
        test_images: Number of test images.
    """

    recipe: dict[str, Any]
    seeds: list[int]
    methods: dict[str, MethodSummary]
    limits: str
    best_run: str
    export: dict[str, Any]
    train_images: int
    test_images: int


FIELDS = frozenset(field.name for field in dataclasses.fields(Summary))


@named_attributes
@dataclasses.dataclass(frozen=True)
class Comparison:
    """A recipe trained with each drop method, over seeds 0 to n - 1.

    Attributes:
        base: Recipe of every cell, apart from its drop and its seed.
        seeds: Number of seeds, from 1 to 1,000.
        methods: Drop methods to compare, by name or with their settings, such as
            `"selectscale:top_rate=0.1,retaining_rate=0.2"`.

    Raises:
        TypeError: If a value has the wrong type.
        ValueError: If a value is out of range, or a method is unknown or occurs twice.
    """

    base: Recipe
    seeds: int
    methods: tuple[str, ...] = PAPER_METHODS

    def __post_init__(self) -> None:
        """Checks the values."""
        as_instance("base", self.base, Recipe, "a Recipe")
        object.__setattr__(self, "seeds", as_integer("seeds", self.seeds, 1, MOST_SEEDS))
        object.__setattr__(self, "methods", as_contenders("methods", self.methods, self.base))

    def cells(self) -> Iterator[tuple[str, Recipe]]:
        """Yields the name and the recipe of each cell: seed 0 of every method, then seed 1."""
        for seed in range(self.seeds):
            for method in self.methods:
                yield f"{folder_name(method)}-seed{seed}", recipe_of(method, self.base, seed)

    def began(self, folder: pathlib.Path) -> dict[str, Any] | None:
        """Returns the recipe of the first cell in a folder as JSON, or `None` for a new folder.

        Raises:
            DamagedFileError: If the file is damaged.
        """
        name, _ = next(self.cells())
        run = RunFolder(folder / "cells" / name)
        return run.read_recipe() if run.config_path.exists() else None

    def open(self, folder: pathlib.Path, devices: Devices | None = None) -> list[Cell]:
        """Creates the folder of every cell, or checks the existing one.

        Args:
            folder: Folder of the comparison.
            devices: Where to train; `None` for one device.

        Raises:
            ValueError: If a folder holds a run of another recipe.
            OSError: If a folder cannot be created.
        """
        return open_cells(
            [
                (title(method), recipe, folder / "cells" / name)
                for method, (name, recipe) in zip(
                    itertools.cycle(self.methods), self.cells(), strict=False
                )
            ],
            devices,
        )


@named_arguments
def run_comparison(
    comparison: Comparison,
    folder: pathlib.Path,
    cells: list[Cell],
    images: Mapping[tuple[str, int], datasets.Dataset],
    progress: Progress,
    devices: Devices | None = None,
) -> dict[str, Any]:
    """Trains the missing cells, and writes `comparison.json`, `comparison.png` and an export.

    Args:
        comparison: What to compare.
        folder: Folder of the comparison.
        cells: The runs, from `Comparison.open`.
        images: Dataset of each run, by its name and the seed of the run.
        progress: Display, already started.
        devices: Where to train, already started; `None` for one device.

    Returns:
        The content of `comparison.json`.
    """
    finished = _read_finished(comparison, folder, cells)
    if finished is not None:
        return finished
    check_drawable()
    progress.console.print(_beginning(comparison, cells, images, folder), soft_wrap=True)
    done = run_cells(cells, images, progress, devices)
    results: dict[str, list[dict[str, Any]]] = {method: [] for method in comparison.methods}
    for method, result in zip(itertools.cycle(comparison.methods), done, strict=False):
        results[method].append(result)
    begun = dataclasses.replace(comparison, base=comparison.base.as_begun(cells[0].recipe))
    summary = _summarise(begun, results, images[comparison.base.dataset, 0])
    best = min(range(len(cells)), key=lambda number: done[number]["test_error"])
    summary["best_run"] = cells[best].run.path.name
    summary["export"] = _export(cells[best].run, folder)
    write_json(folder / "comparison.json", summary)
    draw_comparison(summary, folder / "comparison.png")
    return summary


def _read_finished(
    comparison: Comparison, folder: pathlib.Path, cells: list[Cell]
) -> dict[str, Any] | None:
    """Returns the summary of a complete comparison, or `None` if anything is missing."""
    written = ["comparison.json", "comparison.png"]
    if keras.backend.backend() == "tensorflow":
        written.append("saved_model")
    if not all((folder / name).exists() for name in written):
        return None
    if any(cell.run.read_result() is None for cell in cells):
        return None
    path = folder / "comparison.json"
    try:
        summary = read_json(path)
        known = {name: value for name, value in summary.items() if name in FIELDS}
        checked = convert(known, Summary, path)
    except DamagedFileError:  # The file is written again from the runs.
        return None
    same_seeds = checked.seeds == list(range(comparison.seeds))
    return summary if same_seeds and list(checked.methods) == list(comparison.methods) else None


def _summarise(
    comparison: Comparison,
    results: dict[str, list[dict[str, Any]]],
    images: datasets.Dataset,
) -> dict[str, Any]:
    methods = {}
    for method, rows in results.items():
        errors = [row["test_error"] for row in rows]
        recipe = recipe_of(method, comparison.base)
        methods[method] = {
            "title": title(method),
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
        "remark": remark(methods),
        "environment": environment.describe(),
    }


def _beginning(
    comparison: Comparison,
    cells: list[Cell],
    images: Mapping[tuple[str, int], datasets.Dataset],
    folder: pathlib.Path,
) -> str:
    """Returns a line that says what is trained, for the time until the first run has ended."""
    base = comparison.base
    count = images[base.dataset, 0].train_count
    left = sum(cell.run.read_result() is None for cell in cells)
    return (
        f"{folder}: {left} of {counted(len(cells), 'run')} to train, {base.network} on "
        f"{counted(count, 'image')} of {base.dataset}, {counted(base.epochs, 'epoch')} each"
    )


def _spread(methods: dict[str, dict[str, Any]]) -> str:
    means = [method["mean"] for method in methods.values()]
    sentence = f"From best to worst the means are {max(means) - min(means):.2f} points apart"
    deviations = [method["standard_deviation"] for method in methods.values()]
    if None in deviations:
        return f"{sentence}; one seed has no spread."
    pooled = statistics.fmean(d**2 for d in deviations) ** 0.5
    return f"{sentence}; the standard deviation over seeds, pooled, is {pooled:.2f} points."


def _export(run: RunFolder, folder: pathlib.Path) -> dict[str, Any]:
    """Exports a run; a verified export replaces an older one."""
    path = folder / "saved_model"
    if keras.backend.backend() != "tensorflow":
        return {"skipped": "only the TensorFlow backend writes a SavedModel"}
    model = keras.models.load_model(run.checkpoint_path)
    try:
        report = export(model, path, overwrite=True)
    except ExportError as error:
        if error.report is None:
            raise
        report = error.report
    return {**report.as_json(), "path": path.name}
