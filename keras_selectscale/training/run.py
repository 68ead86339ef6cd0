"""A training run: trains a recipe in its folder, from the start or from where it stopped."""

import contextlib
import dataclasses
import pathlib
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any, Literal

import keras
from rich.progress import Progress

from keras_selectscale import data as datasets
from keras_selectscale import stopping
from keras_selectscale.argument_names import named_arguments
from keras_selectscale.checks import as_choice, as_number
from keras_selectscale.data import Dataset
from keras_selectscale.object_checks import as_boolean, as_instance, as_instances, as_string
from keras_selectscale.surgery import DropDiagnostics
from keras_selectscale.training import checkpoints, logs, process_group
from keras_selectscale.training.background import BackgroundWriter
from keras_selectscale.training.checkpoints import RunState
from keras_selectscale.training.devices import Devices
from keras_selectscale.training.dispatches import as_begun
from keras_selectscale.training.epoch_progress import EpochProgress, lines_beside, make_progress
from keras_selectscale.training.fit import build_metrics, fit
from keras_selectscale.training.model import build_model
from keras_selectscale.training.recipe import Recipe
from keras_selectscale.training.run_checkpoint import RunCheckpoint
from keras_selectscale.training.run_folder import RunFolder
from keras_selectscale.training.run_result import make_result
from keras_selectscale.training.stop_check import position


@named_arguments
def train(
    recipe: Recipe,
    run: RunFolder,
    images: Dataset,
    *,
    devices: Devices | None = None,
    progress: Progress | Literal["auto"] | None = "auto",
    label: str = "",
    epoch_lines: bool = True,
    tensorboard: bool = True,
    checkpoint_seconds: float | None = None,
    stop_after: float | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> dict[str, Any]:
    """Trains a recipe in a run's folder: from the start, from where it stopped, or not at all.

    A run that was killed continues from its last checkpoint, within an epoch too, and ends as if it
    had not been interrupted: on one machine and backend with the same weights to the bit.

    The first Ctrl-C or SIGTERM lets the running step finish and writes a checkpoint; a second one
    ends at once, with the last checkpoint, as a kill would. The first step includes the
    compilation. In the main thread, unless somebody else handles these signals.

    Args:
        recipe: What to train.
        run: Folder of the run, opened with this recipe. If several processes train together, only
            the main one needs it.
        images: The recipe's dataset, as `data.load` returns it.
        devices: Where to train, already started; `None` for one device.
        progress: Display for the progress, already started; `"auto"` for a new one on standard
            error, `None` for none.
        label: Text before the number of the epoch in the display.
        epoch_lines: Whether to print a line per epoch if `progress` is not on a terminal.
        tensorboard: Whether to write logs for TensorBoard, if it is installed.
        checkpoint_seconds: Time between two checkpoints, which is what a kill can lose; a last one
            is written at the end. 0 writes one after each step. `None` is 5 seconds, or longer if
            writing checkpoints would take more than a twentieth of the time or more than 10 GB per
            hour. A thread writes them, from a copy of the state.
        stop_after: Time in seconds after which the training stops with a checkpoint; `None` for no
            limit. At least one step is taken.
        callbacks: Further Keras callbacks.

    Returns:
        The entries of `result.json`, among them `test_error` and `train_error` in percent
        (`test_top5_error` too for 1,000 classes or more), `test_class_errors`, `test_loss`,
        `test_nll`, `test_ece`, `ece_bins`, `parameters`, `epochs`, `seconds` (of the training, over
        all calls), `startup_seconds` (the part before the end of the first step) and
        `images_per_second` (without that part). Processes other than the main one return an empty
        result.

    Raises:
        BlockingIOError: If another process writes the run.
        DamagedFileError: If a file of the run cannot be read or does not fit the others.
        FileNotFoundError: If the run's folder was not opened.
        FloatingPointError: If the loss is NaN or infinite.
        KeyboardInterrupt: If Ctrl-C was pressed.
        OSError: If an image cannot be read, or the folder cannot be written.
        Stopped: If SIGTERM arrived or `stop_after` has passed.
        TypeError: If an argument has the wrong type.
        ValueError: If the devices cannot share the batches evenly, `jit` is not the run's, or the
            run began with other images.
    """
    as_instance("run", run, RunFolder, "a RunFolder that was opened with the recipe")
    recipe = run.as_begun(as_instance("recipe", recipe, Recipe, "a Recipe"))
    as_instance("images", images, Dataset, "a dataset as `data.load` returns it")
    if checkpoint_seconds is not None:
        as_number("checkpoint_seconds", checkpoint_seconds, 0)
    if stop_after is not None:
        as_number("stop_after", stop_after, 0, above=True)
    as_boolean("epoch_lines", epoch_lines)
    as_boolean("tensorboard", tensorboard)
    as_string("label", label)
    kind = keras.callbacks.Callback
    callbacks = as_instances("callbacks", callbacks, kind, "Keras callbacks")
    if progress is not None and not isinstance(progress, Progress):
        as_choice("progress", progress, ("auto",))
    devices = (
        Devices() if devices is None else as_instance("devices", devices, Devices, "a Devices")
    )
    if devices.is_main and not run.config_path.exists():
        raise FileNotFoundError(f"{run.path} has no config.json: call `run.open(recipe)` first")
    if devices.is_main and (result := run.read_result()) is not None and not devices.is_several:
        return result
    devices.check_batches(recipe.batch_size, images.train_count)
    with contextlib.ExitStack() as held:
        held.enter_context(stopping.signals())
        held.enter_context(stopping.time_limit(stop_after))
        began = devices.is_main and run.has_begun()
        if devices.is_main:
            held.enter_context(run.lock())
            # Another process may have finished the run since.
            if (result := run.read_result()) is not None and not devices.is_several:
                return result
            run.record_images({split: images.digest(split) for split in images.splits})
        display = held.enter_context(make_progress()) if progress == "auto" else progress
        with devices.scope(), process_group.lost_processes():
            state = _train(
                recipe,
                run,
                images,
                devices,
                began=began,
                progress=display if devices.is_main else None,
                label=label,
                epoch_lines=epoch_lines,
                tensorboard=tensorboard,
                checkpoint_seconds=checkpoint_seconds,
                callbacks=callbacks,
            )
            process_group.part()
        if not devices.is_main:
            return {}
        # The file is read again, on one device: the model that is tested is the one it holds.
        result = make_result(images, checkpoints.load_checkpoint(run), state)
        run.write_result(result)
        run.previous_checkpoint_path.unlink(missing_ok=True)
    return result


def _train(
    recipe: Recipe,
    run: RunFolder,
    images: Dataset,
    devices: Devices,
    *,
    began: bool,
    progress: Progress | None,
    label: str,
    epoch_lines: bool,
    tensorboard: bool,
    checkpoint_seconds: float | None,
    callbacks: Sequence[keras.callbacks.Callback],
) -> RunState:
    """Takes the steps that are left, and returns the state at the end."""
    started = time.monotonic()
    steps = datasets.steps_per_epoch(images, recipe.batch_size)
    say = lines_beside(progress, label)
    warn = say if progress is not None else warnings.warn
    # As recorded: a loaded model would be compiled as on the backend that wrote it.
    jit = run.read_jit() if devices.is_main else None
    restored = _restore(recipe, run, devices, warn)
    if restored is None:
        state, model = RunState(), build_model(recipe, images, steps, jit=devices.decide_jit(jit))
        if began:
            say("starting again at epoch 1: the run stopped before its first checkpoint")
    else:
        model, state = restored
        build_metrics(model, images)
        checkpoints.check_state(run, model, state, recipe.epochs, steps)
        model.jit_compile = devices.decide_jit(model.jit_compile if jit is None else jit)
        if devices.is_main and state.step < recipe.epochs * steps:
            say(f"resuming at {position(state.step, steps, recipe.epochs)}")
    devices.prepare(model)
    recorded = run.read_steps_per_dispatch() if devices.is_main else "auto"
    if at_a_time := process_group.agree(as_begun(devices, recorded).steps_per_dispatch or 0):
        devices = dataclasses.replace(devices, steps_per_dispatch=at_a_time)
    # Several processes gather the values together, and replicas have several values per variable.
    alone = not devices.is_several and devices.distribute != "mirrored"
    writer = BackgroundWriter()
    checkpoint = RunCheckpoint(
        state,
        _writer(recipe, run, devices),
        epochs=recipe.epochs,
        steps_per_epoch=steps,
        every_seconds=checkpoint_seconds,
        writer=writer if alone else None,
        started=started,
        agree=process_group.agree,
    )
    chosen = [*callbacks]
    if devices.is_main and tensorboard and logs.can_log():
        diagnostics = [each for each in chosen if isinstance(each, DropDiagnostics)]
        chosen.append(logs.EpochLog(run.log_path, diagnostics))
    if progress is not None:
        chosen.append(EpochProgress(progress, recipe.epochs, steps, state.step, label, epoch_lines))
    if state.step < recipe.epochs * steps:
        try:
            with writer:
                fit(
                    model,
                    images,
                    batch_size=recipe.batch_size,
                    epochs=recipe.epochs,
                    seed=recipe.seed,
                    first_step=state.step,
                    fused_normalization=recipe.normalization == "fused",
                    devices=devices,
                    stop_check=checkpoint,
                    callbacks=chosen,
                )
        except (KeyboardInterrupt, stopping.Stopped):
            if checkpoint.stopped:  # As have all processes, together.
                process_group.part()
            raise
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


def _writer(
    recipe: Recipe, run: RunFolder, devices: Devices
) -> Callable[[keras.Model, RunState], int | None]:
    """Returns the function that writes a checkpoint, and returns its number of bytes.

    Processes other than the main one only take part in gathering the variables.
    """

    def write(model: keras.Model, state: RunState) -> int | None:
        if devices.is_main:
            size = checkpoints.write_checkpoint(run, recipe, model, state)
            if state.rows:
                run.write_history(state.rows)
            return size
        with tempfile.TemporaryDirectory() as folder:
            model.save(pathlib.Path(folder) / "model.keras")
        return None

    return write
