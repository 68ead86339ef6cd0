"""The one function that trains."""

import contextlib
import importlib.util
import math
import pathlib
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
from rich.progress import Progress

from keras_selectscale import data as datasets
from keras_selectscale.data import AnyImages
from keras_selectscale.training import checkpoints, process_group
from keras_selectscale.training.building import build_model
from keras_selectscale.training.devices import Devices
from keras_selectscale.training.epoch_progress import EpochProgress
from keras_selectscale.training.evaluation import evaluate
from keras_selectscale.training.fit import fit
from keras_selectscale.training.recipe import Recipe
from keras_selectscale.training.run_checkpoint import RunCheckpoint
from keras_selectscale.training.run_folder import RunFolder, cannot_be_written
from keras_selectscale.training.run_state import RunState


def train(
    recipe: Recipe,
    run: RunFolder,
    images: AnyImages,
    *,
    devices: Devices | None = None,
    progress: Progress | None = None,
    label: str = "",
    epoch_lines: bool = True,
    tensorboard: bool = True,
    checkpoint_seconds: float = 5.0,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> dict[str, Any]:
    """Trains a recipe in a run's folder: from the start, from where it stopped, or not at all.

    A run that was killed goes on from its last checkpoint, in the middle of an epoch too, and ends
    as if it had never been: on one machine and backend with the same weights to the bit.

    Args:
        recipe: What to train.
        run: Folder of the run, already opened with this recipe. Of several processes, only the
            main one has to have it.
        images: The recipe's dataset, as `data.load` gives it.
        devices: Where to train, already started; `None` is one device.
        progress: Where to show progress, already started; `None` shows none.
        label: What stands before the epoch there.
        epoch_lines: Whether to print a line an epoch where `progress` is on no terminal.
        tensorboard: Whether to write TensorBoard logs, where TensorFlow is installed.
        checkpoint_seconds: Seconds from one checkpoint to the next, at least; a last one comes at
            the end. 0 writes one after each step.
        callbacks: Further callbacks of one's own.

    Returns:
        The result, as it stands in `result.json`: `test_error` and `train_error` in percent
        (`test_top5_error` too for 1,000 classes and more), `test_loss`, `parameters`, `epochs`,
        `seconds` (of the training, over all calls) and `images_per_second`. Other processes than
        the main one return an empty one.

    Raises:
        BlockingIOError: Where another process writes the run.
        DamagedRunError: Where a file of the run cannot be read or does not fit the others.
        FloatingPointError: Where the loss is no longer finite.
        OSError: Where an image cannot be read, or the folder not be written.
        ValueError: Where the devices cannot share the batches evenly, or their `jit` is another
            than that with which the run began.
    """
    devices = devices or Devices()
    if devices.is_main and (result := run.read_result()) is not None and not devices.is_several:
        return result
    devices.check_batches(recipe.batch_size, images.train_count)
    with contextlib.ExitStack() as held:
        if devices.is_main:
            held.enter_context(run.lock())
        with devices.scope(), process_group.lost_processes(), _log_errors(run):
            state = _train(
                recipe,
                run,
                images,
                devices,
                progress=progress,
                label=label,
                epoch_lines=epoch_lines,
                tensorboard=tensorboard,
                checkpoint_seconds=checkpoint_seconds,
                callbacks=callbacks,
            )
            process_group.part()
        if not devices.is_main:
            return {}
        # Read again, on one device: what is tested is what stands in the file.
        result = _result(recipe, images, checkpoints.load_checkpoint(run), state)
        run.write_result(result)
        run.previous_checkpoint_path.unlink(missing_ok=True)
    return result


def _train(
    recipe: Recipe,
    run: RunFolder,
    images: AnyImages,
    devices: Devices,
    *,
    progress: Progress | None,
    label: str,
    epoch_lines: bool,
    tensorboard: bool,
    checkpoint_seconds: float,
    callbacks: Sequence[keras.callbacks.Callback],
) -> RunState:
    """Trains what is left, and returns the state at the end."""
    steps = datasets.steps_per_epoch(images, recipe.batch_size)
    # As recorded: a loaded model would compile as on the backend that wrote it.
    began = run.read_jit() if devices.is_main else None
    restored = _restore(recipe, run, devices, progress)
    if restored is None:
        model, state = (
            build_model(recipe, images, steps, jit=devices.decide_jit(began)),
            RunState(),
        )
    else:
        model, state = restored
        model.jit_compile = devices.decide_jit(model.jit_compile if began is None else began)
    devices.prepare(model)
    if state.step >= recipe.epochs * steps:
        return state
    checkpoint = RunCheckpoint(
        state,
        _writer(recipe, run, devices),
        epochs=recipe.epochs,
        steps_per_epoch=steps,
        every_seconds=checkpoint_seconds,
        agree=process_group.agree,
    )
    chosen: list[keras.callbacks.Callback] = [checkpoint, *callbacks]
    if devices.is_main:
        if tensorboard and importlib.util.find_spec("tensorflow") is not None:
            chosen.append(keras.callbacks.TensorBoard(str(run.log_path), write_graph=False))
        if progress is not None:
            chosen.append(
                EpochProgress(progress, recipe.epochs, steps, state.step, label, epoch_lines)
            )
    fit(
        model,
        images,
        batch_size=recipe.batch_size,
        epochs=recipe.epochs,
        seed=recipe.seed,
        first_step=state.step,
        devices=devices,
        callbacks=chosen,
    )
    if state.step < recipe.epochs * steps:  # A callback of the caller's has stopped it.
        checkpoint.write()
    return state


def _restore(
    recipe: Recipe, run: RunFolder, devices: Devices, progress: Progress | None
) -> tuple[keras.Model, RunState] | None:
    """Returns the last good checkpoint of a run; all processes read the main one's."""
    made_by = recipe.as_json()
    if not devices.is_several:
        return checkpoints.restore(run, made_by, _say(progress))
    found = None
    if devices.is_main:
        # Variables that all processes have are made by all of them together.
        with devices.alone():
            if checkpoints.restore(run, made_by, _say(progress)) is not None:
                found = checkpoints.existing_checkpoint(run).read_bytes()
    content = process_group.share_bytes(found)
    if content is None:
        return None
    # Loading draws initial weights first, and they have to be the same in all processes.
    keras.utils.set_random_seed(recipe.seed)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "checkpoint.keras"
        path.write_bytes(content)
        return checkpoints.read_checkpoint(path, made_by)


def _say(progress: Progress | None) -> Callable[[str], Any]:
    """Returns what shows a line beside the progress, or a warning where there is none."""
    if progress is None:
        import warnings

        return lambda line: warnings.warn(line, stacklevel=2)
    return lambda line: progress.console.print(line, highlight=False, markup=False, soft_wrap=True)


@contextlib.contextmanager
def _log_errors(run: RunFolder) -> Iterator[None]:
    """Turns TensorFlow's error about a log that cannot be written into an `OSError`."""
    try:
        yield
    except Exception as error:
        found = re.search(r"tfevents[^;\n]*; ([^\n\[{]*)", str(error))
        if found is None:
            raise
        reason = OSError(found[1].strip())
        raise cannot_be_written(run.log_path, reason) from None


def _writer(
    recipe: Recipe, run: RunFolder, devices: Devices
) -> Callable[[keras.Model, RunState], None]:
    """Returns what writes a checkpoint; other processes than the main one only take part in it."""
    made_by = recipe.as_json()

    def write(model: keras.Model, state: RunState) -> None:
        if devices.is_main:
            checkpoints.write_checkpoint(run, made_by, model, state)
            if state.rows:
                run.write_history(state.rows)
        else:
            with tempfile.TemporaryDirectory() as folder:
                model.save(pathlib.Path(folder) / "model.keras")

    return write


def _result(
    recipe: Recipe, images: AnyImages, model: keras.Model, state: RunState
) -> dict[str, Any]:
    test = evaluate(model, images)
    if not math.isfinite(test["loss"]):
        raise FloatingPointError(
            f"the test loss is {test['loss']} after the last epoch: a lower learning rate may help"
        )
    trained = len(state.rows) * images.train_count
    return {
        **{f"test_{name}": value for name, value in test.items()},
        "train_error": 100 * (1 - float(state.rows[-1]["accuracy"])),
        "parameters": sum(int(np.prod(w.shape)) for w in model.trainable_weights),
        "epochs": len(state.rows),
        "seconds": round(state.seconds, 2),
        "images_per_second": round(trained / state.seconds, 1) if state.seconds else 0.0,
    }
