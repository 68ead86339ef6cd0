"""The checkpoints of a run: how far it has come, and the model with all of its states.

A checkpoint is one file, so that the model and the state of the run cannot come apart: a `.keras`
file as Keras writes it, with one more entry.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
from keras.src.saving import saving_lib

from keras_selectscale import files
from keras_selectscale.checks import shown
from keras_selectscale.files import DamagedFileError
from keras_selectscale.layers import feature_maps
from keras_selectscale.object_checks import as_instance
from keras_selectscale.regular_files import (
    LARGEST_TEXT,
    check_entries,
    check_regular,
    machine_memory,
)
from keras_selectscale.training.recipe import Recipe
from keras_selectscale.training.run_folder import HistoryRow, RunFolder
from keras_selectscale.wording import shortened

ENTRY = "run.json"
# Kinds of objects of which Keras skips some attributes when it saves.
SKIPPING = ("Operation", "Layer", "Functional", "Sequential", "Metric", "Optimizer", "Loss")


@dataclasses.dataclass
class RunState:
    """How far a run has come. With the model, this is all that it needs to continue.

    Attributes:
        step: Number of steps that are done, in all epochs.
        rows: Rows of the history, one per finished epoch.
        metrics: Values of the metrics' variables if the checkpoint was written within an epoch: one
            list per variable, with the values of each replica. Empty at the end of an epoch.
        seconds: Time of the training so far, over all calls.
        startup_seconds: The part of it before the end of the first step, over all calls.
    """

    step: int = 0
    rows: list[HistoryRow] = dataclasses.field(default_factory=list)
    metrics: list[list[float]] = dataclasses.field(default_factory=list)
    seconds: float = 0.0
    startup_seconds: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """Returns the state as it is written to a file, which keeps every number to the bit."""
        return dataclasses.asdict(self)


def write_checkpoint(run: RunFolder, recipe: Recipe, model: keras.Model, state: RunState) -> int:
    """Writes a checkpoint and keeps the last one as the previous one.

    At any moment at least one of the two is complete.

    Args:
        run: Folder of the run.
        recipe: Recipe of the run.
        model: The compiled model.
        state: How far the run has come.

    Returns:
        The number of bytes.

    Raises:
        OSError: If the checkpoint cannot be written. The existing ones are unchanged then.
    """
    # Keras writes to names that end in `.keras` only.
    beside = run.path / ".checkpoint.part.keras"
    files.remove_left(beside, run.checkpoint_path)
    with files.disk_errors(run.checkpoint_path):
        try:
            with _without_notice():
                model.save(beside)
            with zipfile.ZipFile(beside, "a") as archive:
                content = {"recipe": recipe.as_json(), "state": state.as_json()}
                archive.writestr(ENTRY, json.dumps(content, allow_nan=False))
            with beside.open("rb") as file:
                os.fsync(file.fileno())
                size = os.fstat(file.fileno()).st_size
            if run.checkpoint_path.exists():
                os.replace(run.checkpoint_path, run.previous_checkpoint_path)
            os.replace(beside, run.checkpoint_path)
        except BaseException:
            with contextlib.suppress(OSError):
                beside.unlink(missing_ok=True)
            raise
    return size


@contextlib.contextmanager
def _without_notice() -> Iterator[None]:
    """Does not say that a file needs this package: who trains with it says it with the result."""
    kept = [*feature_maps.NOTICES]
    feature_maps.NOTICES.clear()
    try:
        yield
    finally:
        feature_maps.NOTICES.extend(kept)


def prepare_saving() -> None:
    """Makes `model.save` fast in the current thread, and possible inside a `StatelessScope`.

    Keras skips some attributes when it looks for layers, and finds their names by creating a layer,
    an optimizer and so on. It stores the names under one key and looks for them under another one,
    so that it creates them for each layer of a model, which takes up to half of the time. An
    optimizer creates a variable, which is an error inside a `StatelessScope`.
    """
    state = saving_lib.global_state
    for kind in SKIPPING:
        name = f"saving_attr_skiplist_{kind}"
        if state.get_global_attribute(name) is None:
            state.set_global_attribute(name, saving_lib.get_attr_skipset(kind))


def read_checkpoint(
    path: pathlib.Path, recipe: Recipe, *, safe_mode: bool = True
) -> tuple[keras.Model, RunState]:
    """Returns the compiled model of a checkpoint, and how far the run had come.

    Args:
        path: The file.
        recipe: Recipe of the run.
        safe_mode: Whether to refuse a checkpoint that holds Python code.

    Raises:
        DamagedFileError: If the file is truncated, changed, or the checkpoint of another run.
    """
    state = read_state(path, recipe)
    try:
        with zipfile.ZipFile(path) as archive:
            check_entries(archive, machine_memory())
            if (entry := archive.testzip()) is not None:
                raise ValueError(f"the checksum of its entry {entry} is wrong")
        model = keras.models.load_model(path, safe_mode=safe_mode)
        if not isinstance(model, keras.Model) or not model.compiled:
            raise ValueError("its entries are not those of a compiled model")
        return model, state
    # zlib, h5py and Keras raise errors of no common class if they read other bytes than expected.
    except Exception as error:
        raise _damaged(path, error) from None


def read_state(path: pathlib.Path, recipe: Recipe) -> RunState:
    """Returns how far the run of a checkpoint had come, without loading the model.

    The arguments and errors are those of `read_checkpoint`.
    """
    check_regular(path)
    try:
        with zipfile.ZipFile(path) as archive:
            if ENTRY not in archive.namelist():
                raise ValueError("it is not the checkpoint of a run")
            check_entries(archive, LARGEST_TEXT, ENTRY)
            text = archive.read(ENTRY).decode()
    except Exception as error:
        raise _damaged(path, error) from None
    content = files.parse_json(text, path)
    if not isinstance(content, dict) or not {"recipe", "state"} <= set(content):
        raise DamagedFileError(f"{path} is damaged: its entry {ENTRY} has no recipe or no state")
    found = Recipe.from_json(content["recipe"], path, "recipe")
    if found != recipe.as_begun(found):
        raise DamagedFileError(f"{path} is damaged: it is the checkpoint of another recipe")
    return files.convert(content["state"], RunState, path, "state")


def check_state(
    run: RunFolder, model: keras.Model, state: RunState, epochs: int, steps: int
) -> None:
    """Checks that the state of a checkpoint fits the recipe and the model.

    Raises:
        DamagedFileError: If it does not.
    """

    def check(field: str, fits: bool, expected: str, received: Any) -> None:
        if not fits:
            raise DamagedFileError(
                f"{run.checkpoint_path} is damaged: the field `state.{field}`: "
                f"expected {expected}, received {shown(received)}"
            )

    total, done, rows = epochs * steps, state.step // steps, len(state.rows)
    check("step", 0 <= state.step <= total, f"a number from 0 to {total}", state.step)
    # A callback may have stopped the training within an epoch, which has a row all the same.
    check("rows", done <= rows <= done + 1, f"a row per epoch, {done}, at step {state.step}", rows)
    if state.metrics:
        sizes = [int(np.prod(variable.shape)) for variable in model.metrics_variables]
        given = [len(values) for values in state.metrics]
        fits = len(given) == len(sizes) and all(
            number and number % size == 0 for number, size in zip(given, sizes, strict=True)
        )
        check("metrics", fits, f"lists of {sizes} numbers per replica", given)


def restore(
    run: RunFolder, recipe: Recipe, say: Callable[[str], Any]
) -> tuple[keras.Model, RunState] | None:
    """Returns the model and the state of the last good checkpoint, or `None` if there is none yet.

    A damaged checkpoint is kept under another name, and the previous one is used.

    Args:
        run: Folder of the run.
        recipe: Recipe of the run.
        say: Function that is called with a line of text if a checkpoint is damaged.

    Raises:
        DamagedFileError: If there are checkpoints and all are damaged.
    """
    paths = [path for path in _paths(run) if path.exists()]
    for path in paths:
        try:
            return read_checkpoint(path, recipe)
        except DamagedFileError as error:
            if path == paths[-1]:
                raise DamagedFileError(
                    f"{error}; there is no earlier checkpoint: remove it to train from the start"
                ) from None
            refused = path.with_name("refused.keras")
            os.replace(path, refused)
            say(f"{error}; it is kept as {refused.name}, and the previous checkpoint is used")
    return None


def load_checkpoint(run: RunFolder, *, safe_mode: bool = True) -> keras.Model:
    """Returns the model of a run's last checkpoint, compiled, with its random states.

    Args:
        run: Folder of the run.
        safe_mode: Whether to refuse a checkpoint that holds Python code.

    Raises:
        DamagedFileError: If the file cannot be read, or belongs to another run.
        FileNotFoundError: If the run has no checkpoint yet.
    """
    as_instance("run", run, RunFolder, "a RunFolder")
    return read_checkpoint(existing_checkpoint(run), run.recipe(), safe_mode=safe_mode)[0]


def epochs_done(run: RunFolder) -> int:
    """Returns the number of epochs behind a run's last checkpoint; errors as `load_checkpoint`."""
    return len(read_state(existing_checkpoint(run), run.recipe()).rows)


def existing_checkpoint(run: RunFolder) -> pathlib.Path:
    """Returns the path of a run's last checkpoint.

    Raises:
        FileNotFoundError: If the run has no checkpoint yet.
    """
    for path in _paths(run):
        if path.exists():
            return path
    raise FileNotFoundError(f"{run.path} has no checkpoint yet: its training has just begun")


def _paths(run: RunFolder) -> tuple[pathlib.Path, pathlib.Path]:
    # If killed between the renames, only the previous checkpoint exists.
    return run.checkpoint_path, run.previous_checkpoint_path


def _damaged(path: pathlib.Path, error: Exception) -> DamagedFileError:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    if isinstance(error, UnicodeError):
        reason = f"its entry {ENTRY} is not UTF-8 text"
    return DamagedFileError(f"{path} is damaged: {shortened(reason)}")
