"""Writing and reading the checkpoints of a run.

A checkpoint is one file, so that the model and what is known of the run cannot come apart: a
`.keras` file as Keras writes it, with one entry more.
"""

import contextlib
import json
import os
import pathlib
import zipfile
from collections.abc import Callable
from typing import Any

import keras

from keras_selectscale.training.damaged_run_error import DamagedRunError
from keras_selectscale.training.run_folder import RunFolder, cannot_be_written
from keras_selectscale.training.run_state import RunState

ENTRY = "run.json"


def write_checkpoint(
    run: RunFolder, recipe: dict[str, Any], model: keras.Model, state: RunState
) -> None:
    """Writes a checkpoint beside the last one and keeps that one as the one before.

    At any moment one of the two is whole.

    Args:
        run: Folder of the run.
        recipe: The recipe as JSON.
        model: The model, compiled.
        state: Where the run stands.

    Raises:
        OSError: Where it cannot be written; what was there is as it was.
    """
    beside = run.path / ".checkpoint.part.keras"
    try:
        model.save(beside)
        with zipfile.ZipFile(beside, "a") as archive:
            content = {"recipe": recipe, "state": state.as_json()}
            archive.writestr(ENTRY, json.dumps(content, allow_nan=False))
        with beside.open("rb") as file:
            os.fsync(file.fileno())
        if run.checkpoint_path.exists():
            os.replace(run.checkpoint_path, run.previous_checkpoint_path)
        os.replace(beside, run.checkpoint_path)
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
        raise cannot_be_written(run.checkpoint_path, error) from None


def read_checkpoint(
    path: pathlib.Path, recipe: dict[str, Any], *, safe_mode: bool = True
) -> tuple[keras.Model, RunState]:
    """Returns the model of a checkpoint, compiled, and where the run stood.

    Args:
        path: The file.
        recipe: The run's recipe as JSON.
        safe_mode: Whether to refuse a checkpoint that holds Python code.

    Raises:
        DamagedRunError: Where the file is truncated or otherwise damaged, or that of another run.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if (entry := archive.testzip()) is not None:
                raise ValueError(f"its entry {entry} is not as it was written")
            if ENTRY not in archive.namelist():
                raise ValueError("it is no checkpoint of a run")
            content = json.loads(archive.read(ENTRY))
        if content["recipe"] != recipe:
            raise ValueError("it is the checkpoint of another recipe")
        state = RunState.from_json(content["state"])
        return keras.models.load_model(path, safe_mode=safe_mode), state
    # zlib.error and what h5py and Keras raise of bytes that are not theirs have no common class.
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DamagedRunError(f"{path} is damaged: {reason}") from None


def restore(
    run: RunFolder, recipe: dict[str, Any], say: Callable[[str], Any]
) -> tuple[keras.Model, RunState] | None:
    """Returns the model and the state of the last good checkpoint, `None` where there is none yet.

    Where the last one is refused it is kept under another name, and the one before is used.

    Args:
        run: Folder of the run.
        recipe: The recipe as JSON.
        say: Called with a line where a checkpoint is refused.

    Raises:
        DamagedRunError: Where there are checkpoints and all are refused.
    """
    paths = (run.checkpoint_path, run.previous_checkpoint_path)
    there = [path for path in paths if path.exists()]
    for path in there:
        try:
            return read_checkpoint(path, recipe)
        except DamagedRunError as error:
            if path == there[-1]:
                raise DamagedRunError(
                    f"{error}; there is no checkpoint before it: remove it to train from the start"
                ) from None
            refused = path.with_name("refused.keras")
            os.replace(path, refused)
            say(f"{error}; it is kept as {refused.name}, and the checkpoint before it is used")
    return None


def load_checkpoint(run: RunFolder, *, safe_mode: bool = True) -> keras.Model:
    """Returns the model of a run's last checkpoint, compiled, with its random states.

    Args:
        run: The run.
        safe_mode: Whether to refuse a checkpoint that holds Python code.

    Raises:
        DamagedRunError: Where the file cannot be read as one, or is that of another run.
        FileNotFoundError: Where there is none yet.
    """
    return read_checkpoint(existing_checkpoint(run), run.read_recipe(), safe_mode=safe_mode)[0]


def existing_checkpoint(run: RunFolder) -> pathlib.Path:
    """Returns the path of a run's last checkpoint.

    Raises:
        FileNotFoundError: Where there is none yet.
    """
    # A run that was killed between two renames has the one before alone.
    for path in (run.checkpoint_path, run.previous_checkpoint_path):
        if path.exists():
            return path
    raise FileNotFoundError(f"{run.path} has no checkpoint yet: its training has just begun")
