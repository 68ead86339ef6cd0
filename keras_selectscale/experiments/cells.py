"""The runs of an experiment, one after the other, each in its own folder."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from rich.progress import Progress

from keras_selectscale import environment, stopping
from keras_selectscale.data import Dataset
from keras_selectscale.training import Devices, Recipe, RunFolder, train
from keras_selectscale.training.model import released_models
from keras_selectscale.wording import counted


class Cell(NamedTuple):
    """One run of an experiment.

    Attributes:
        title: Name of the run in the progress display.
        recipe: What the run trains.
        run: Folder of the run.
    """

    title: str
    recipe: Recipe
    run: RunFolder


def open_cells(
    titles: Sequence[tuple[str, Recipe, pathlib.Path]], devices: Devices | None = None
) -> list[Cell]:
    """Creates the folder of every run, or checks the existing one.

    Args:
        titles: Title, recipe and folder of each run.
        devices: Where to train, already started; `None` for one device.

    Raises:
        ValueError: If a folder holds a run of another recipe, or one that began with another `jit`.
        OSError: If a folder cannot be created.
    """
    devices = devices or Devices()
    described = environment.describe() | devices.describe()
    cells = [Cell(title, recipe, RunFolder(path)) for title, recipe, path in titles]
    for cell in cells:
        devices.decide_jit(cell.run.read_jit())
        cell.run.open(cell.recipe, described)
    return [cell._replace(recipe=cell.run.as_begun(cell.recipe)) for cell in cells]


def run_cells(
    cells: Sequence[Cell],
    images: Mapping[tuple[str, int], Dataset],
    progress: Progress,
    devices: Devices | None = None,
    *,
    checkpoint_seconds: float | None = None,
) -> list[dict[str, Any]]:
    """Trains the unfinished runs, and returns the results of all runs in their order.

    Args:
        cells: The runs, whose folders are opened.
        images: Dataset of each run, by its name and the seed of the run.
        progress: Display, already started.
        devices: Where to train, already started; `None` for one device.
        checkpoint_seconds: As `train` takes it.

    Raises:
        KeyboardInterrupt: If Ctrl-C was pressed, within a run or between two.
        Stopped: If SIGTERM arrived or the time limit has passed.
    """
    task = progress.add_task("runs", total=len(cells))
    results: list[dict[str, Any]] = []
    trained = 0
    for number, cell in enumerate(cells, start=1):
        result = cell.run.read_result()
        if result is None:
            # A call within a time limit trains something, however short the limit.
            if trained:
                stopping.check(f"after {number - 1} of {counted(len(cells), 'run')}")
            trained += 1
            with released_models():
                result = train(
                    cell.recipe,
                    cell.run,
                    images[cell.recipe.dataset, cell.recipe.seed],
                    devices=devices,
                    progress=progress,
                    label=cell.title,
                    epoch_lines=False,
                    tensorboard=False,
                    checkpoint_seconds=checkpoint_seconds,
                )
            if progress.disable:
                progress.console.print(
                    f"{number}/{len(cells)}  {cell.title}, seed {cell.recipe.seed}: "
                    f"test error {result['test_error']:.2f}%  {result['seconds']:.1f} s",
                    highlight=False,
                    markup=False,
                )
        results.append(result)
        progress.advance(task)
    return results
