"""Runs of an experiment, one after the other, each in a folder of its own."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import keras
from rich.progress import Progress

from keras_selectscale import environment
from keras_selectscale.data import AnyImages
from keras_selectscale.training import Devices, Recipe, RunFolder, train
from keras_selectscale.training.custom_gradients import forgotten_gradients


class Cell(NamedTuple):
    """One run of an experiment.

    Attributes:
        title: What stands in the progress display.
        recipe: What is trained.
        run: Its folder.
    """

    title: str
    recipe: Recipe
    run: RunFolder


def open_cells(
    titles: Sequence[tuple[str, Recipe, pathlib.Path]], devices: Devices | None = None
) -> list[Cell]:
    """Makes or takes up the folder of every run.

    Args:
        titles: Title, recipe and folder of each.
        devices: Where to train, already started; `None` is one device.

    Raises:
        ValueError: Where a folder holds a run of another recipe, or one that began with another
            `jit`.
        OSError: Where one cannot be made.
    """
    devices = devices or Devices()
    described = environment.describe() | devices.describe()
    cells = [Cell(title, recipe, RunFolder(path)) for title, recipe, path in titles]
    for cell in cells:
        devices.decide_jit(cell.run.read_jit())
        cell.run.open(cell.recipe.as_json(), described)
    return cells


def run_cells(
    cells: Sequence[Cell],
    images: Mapping[tuple[str, int], AnyImages],
    progress: Progress,
    devices: Devices | None = None,
) -> list[dict[str, Any]]:
    """Trains the runs that are not done and returns the results of all, in their order.

    Args:
        cells: The runs, their folders opened.
        images: The dataset of each run, by its name and the run's seed.
        progress: Display, already started.
        devices: Where to train, already started; `None` is one device.
    """
    task = progress.add_task("runs", total=len(cells))
    results = []
    for number, cell in enumerate(cells, start=1):
        result = cell.run.read_result()
        if result is None:
            with forgotten_gradients():
                result = train(
                    cell.recipe,
                    cell.run,
                    images[cell.recipe.dataset, cell.recipe.seed],
                    devices=devices,
                    progress=progress,
                    label=cell.title,
                    epoch_lines=False,
                    tensorboard=False,
                )
            if progress.disable:
                progress.console.print(
                    f"{number}/{len(cells)}  {cell.title}, seed {cell.recipe.seed}: "
                    f"test error {result['test_error']:.2f}%  {result['seconds']:.1f} s",
                    highlight=False,
                )
            # Each run has its own graph and model; without this they add up.
            keras.backend.clear_session()
        results.append(result)
        progress.advance(task)
    return results
