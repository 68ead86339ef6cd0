"""A training run: trains a recipe in its folder, from the start or from where it stopped."""

import contextlib
import importlib.util
import math
import pathlib
import re
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
from rich.progress import Progress

from keras_selectscale import data as datasets
from keras_selectscale.checks import as_number, shown
from keras_selectscale.data import Dataset
from keras_selectscale.files import DamagedFileError, cannot_be_written
from keras_selectscale.object_checks import as_instance, as_sequence
from keras_selectscale.training import checkpoints, process_group
from keras_selectscale.training.checkpoints import RunState
from keras_selectscale.training.devices import Devices
from keras_selectscale.training.epoch_progress import EpochProgress
from keras_selectscale.training.fit import build_metrics, fit
from keras_selectscale.training.model import build_model, evaluate
from keras_selectscale.training.recipe import Recipe
from keras_selectscale.training.run_checkpoint import RunCheckpoint
from keras_selectscale.training.run_folder import RunFolder


def train(
    recipe: Recipe,
    run: RunFolder,
    images: Dataset,
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

    A run that was killed continues from its last checkpoint, within an epoch too, and ends as if it
    had not been interrupted: on one machine and backend with the same weights to the bit.

    Args:
        recipe: What to train.
        run: Folder of the run, opened with this recipe. If several processes train together, only
            the main one needs it.
        images: The recipe's dataset, as `data.load` returns it.
        devices: Where to train, already started; `None` for one device.
        progress: Display for the progress, already started; `None` shows none.
        label: Text before the number of the epoch in the display.
        epoch_lines: Whether to print a line per epoch if `progress` is not on a terminal.
        tensorboard: Whether to write logs for TensorBoard, if TensorFlow is installed.
        checkpoint_seconds: Least time between two checkpoints; a last one is written at the end. 0
            writes one after each step.
        callbacks: Further Keras callbacks.

    Returns:
        The result, as `result.json` stores it: `test_error` and `train_error` in percent
        (`test_top5_error` too for 1,000 classes or more), `test_loss`, `parameters`, `epochs`,
        `seconds` (of the training, over all calls) and `images_per_second`. Processes other than
        the main one return an empty result.

    Raises:
        BlockingIOError: If another process writes the run.
        DamagedFileError: If a file of the run cannot be read or does not fit the others.
        FloatingPointError: If the loss is NaN or infinite.
        OSError: If an image cannot be read, or the folder cannot be written.
        TypeError: If an argument has the wrong type.
        ValueError: If the devices cannot share the batches evenly, or `devices.jit` differs from
            the value with which the run began.
    """
    as_instance("recipe", recipe, Recipe, "a Recipe")
    as_instance("run", run, RunFolder, "a RunFolder")
    as_number("checkpoint_seconds", checkpoint_seconds, 0)
    devices = as_instance("devices", devices or Devices(), Devices, "a Devices")
    if devices.is_main and (result := run.read_result()) is not None and not devices.is_several:
        return result
    devices.check_batches(recipe.batch_size, images.train_count)
    with contextlib.ExitStack() as held:
        if devices.is_main:
            held.enter_context(run.lock())
            # Another process may have finished the run since.
            if (result := run.read_result()) is not None and not devices.is_several:
                return result
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
                callbacks=as_sequence("callbacks", callbacks),
            )
            process_group.part()
        if not devices.is_main:
            return {}
        # The file is read again, on one device: the model that is tested is the one it holds.
        result = _result(recipe, images, checkpoints.load_checkpoint(run), state)
        run.write_result(result)
        run.previous_checkpoint_path.unlink(missing_ok=True)
    return result


def _train(
    recipe: Recipe,
    run: RunFolder,
    images: Dataset,
    devices: Devices,
    *,
    progress: Progress | None,
    label: str,
    epoch_lines: bool,
    tensorboard: bool,
    checkpoint_seconds: float,
    callbacks: Sequence[keras.callbacks.Callback],
) -> RunState:
    """Takes the steps that are left, and returns the state at the end."""
    steps = datasets.steps_per_epoch(images, recipe.batch_size)
    # As recorded: a loaded model would be compiled as on the backend that wrote it.
    began = run.read_jit() if devices.is_main else None
    restored = _restore(recipe, run, devices, _say(progress))
    if restored is None:
        state = RunState()
        model = build_model(recipe, images, steps, jit=devices.decide_jit(began))
    else:
        model, state = restored
        build_metrics(model, images)
        _check_state(run, model, state, recipe.epochs, steps)
        model.jit_compile = devices.decide_jit(model.jit_compile if began is None else began)
    devices.prepare(model)
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
        if tensorboard and all(map(importlib.util.find_spec, ("tensorflow", "tensorboard"))):
            chosen.append(keras.callbacks.TensorBoard(str(run.log_path), write_graph=False))
        if progress is not None:
            chosen.append(
                EpochProgress(progress, recipe.epochs, steps, state.step, label, epoch_lines)
            )
    if state.step < recipe.epochs * steps:
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
    if state.step < recipe.epochs * steps:  # A callback has stopped the training.
        checkpoint.write()
    return state


def _restore(
    recipe: Recipe, run: RunFolder, devices: Devices, say: Callable[[str], Any]
) -> tuple[keras.Model, RunState] | None:
    """Returns the last good checkpoint of a run. All processes read that of the main one."""
    if not devices.is_several:
        return checkpoints.restore(run, recipe, say)
    found = None
    if devices.is_main:
        # Variables that exist in all processes are created by all of them together.
        with devices.alone():
            if checkpoints.restore(run, recipe, say) is not None:
                found = checkpoints.existing_checkpoint(run).read_bytes()
    content = process_group.share_bytes(found)
    if content is None:
        return None
    # Loading draws initial weights first, which have to be the same in all processes.
    keras.utils.set_random_seed(recipe.seed)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "checkpoint.keras"
        path.write_bytes(content)
        return checkpoints.read_checkpoint(path, recipe)


def _check_state(
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
    check("rows", done <= rows <= done + 1, f"{done} rows at step {state.step}", rows)
    if state.metrics:
        sizes = [int(np.prod(variable.shape)) for variable in model.metrics_variables]
        given = [len(values) for values in state.metrics]
        fits = len(given) == len(sizes) and all(
            number and number % size == 0 for number, size in zip(given, sizes, strict=True)
        )
        check("metrics", fits, f"lists of {sizes} numbers per replica", given)


def _say(progress: Progress | None) -> Callable[[str], Any]:
    """Returns the function that shows a line next to the progress, or as a warning."""
    if progress is None:
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
    """Returns the function that writes a checkpoint.

    Processes other than the main one only take part in gathering the variables.
    """

    def write(model: keras.Model, state: RunState) -> None:
        if devices.is_main:
            checkpoints.write_checkpoint(run, recipe, model, state)
            if state.rows:
                run.write_history(state.rows)
        else:
            with tempfile.TemporaryDirectory() as folder:
                model.save(pathlib.Path(folder) / "model.keras")

    return write


def _result(recipe: Recipe, images: Dataset, model: keras.Model, state: RunState) -> dict[str, Any]:
    test = evaluate(model, images)
    if not math.isfinite(test["loss"]):
        raise FloatingPointError(
            f"the test loss is {test['loss']} after the last epoch: a lower learning rate may help"
        )
    trained = len(state.rows) * images.train_count
    return {
        **{f"test_{name}": value for name, value in test.items()},
        "train_error": 100 * (1 - state.rows[-1].accuracy),
        "parameters": sum(int(np.prod(w.shape)) for w in model.trainable_weights),
        "epochs": len(state.rows),
        "seconds": round(state.seconds, 2),
        "images_per_second": round(trained / state.seconds, 1) if state.seconds else 0.0,
    }
