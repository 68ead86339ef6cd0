"""One training path for every caller: `train`, the comparisons, and the trials of a search."""

import contextlib
from collections.abc import Sequence

import keras
import numpy as np

from keras_selectscale import data as datasets
from keras_selectscale import stopping
from keras_selectscale.data import Dataset
from keras_selectscale.training import device_loop
from keras_selectscale.training.compilation_cache import enable_compilation_cache
from keras_selectscale.training.devices import Devices
from keras_selectscale.training.late_logs import LateCallbackList
from keras_selectscale.training.normalization import fuse_normalization
from keras_selectscale.training.stop_check import StopCheck, StopRaise

History = dict[str, list[float]]


def fit(
    model: keras.Model,
    images: Dataset,
    *,
    batch_size: int,
    epochs: int,
    seed: int,
    first_step: int = 0,
    validate: bool = False,
    fused_normalization: bool = True,
    devices: Devices | None = None,
    stop_check: StopCheck | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> History:
    """Trains a compiled model on a dataset, from the start or from any step.

    On JAX, images in memory stay on the device (see `device_loop`); otherwise Keras' `fit` reads
    batches from tf.data. On both paths the order and the augmentation of the images are functions
    of the seed and the step, so a run continues with the batches that it would have seen.

    Args:
        model: Compiled model that returns one output per class.
        images: Dataset to train on.
        batch_size: Images per step, at least 1.
        epochs: Epochs of the whole training, including those before `first_step`.
        seed: Decides the order and the augmentation of the images, at least 0.
        first_step: Number of steps that are already done, in all epochs.
        validate: Whether to evaluate the model on the evaluation split of `images` after each
            epoch. The logs then contain `val_loss` and so on.
        fused_normalization: Whether to train with the backend's kernel of batch normalization, if
            it has one (see `fuse_normalization`). The model computes as before afterwards.
        devices: Where to train, already started and with its scope entered; `None` for one device.
        stop_check: Callback that stops the training when told; `None` for one that saves nothing.
        callbacks: Keras callbacks. On JAX, `on_train_batch_end` may be called once for several
            steps, with the number of the last one. A callback that listens to the end of batches
            makes the host wait for each step, unless it does without its logs (see `late_logs`).

    Returns:
        The logs of each epoch, as in `keras.callbacks.History`. If training started within an
        epoch, the first entry describes the rest of that epoch.

    Raises:
        KeyboardInterrupt: If Ctrl-C was pressed, after the step that was running.
        OSError: If an image cannot be read.
        Stopped: If SIGTERM arrived or the time limit has passed, after the step that was running.
    """
    devices = devices or Devices()
    if devices.compilation_cache:
        enable_compilation_cache()
    steps = datasets.steps_per_epoch(images, batch_size)
    build_metrics(model, images)
    if stop_check is None:
        stop_check = StopCheck(epochs=epochs, steps_per_epoch=steps, first_step=first_step)
    chosen = [stop_check, *callbacks, StopRaise(stop_check)]
    fused = fuse_normalization(model) if fused_normalization else contextlib.nullcontext()
    with stopping.deferred(), fused:
        if keras.backend.backend() == "jax" and images.in_memory:
            return device_loop.fit(
                model,
                images,
                batch_size=batch_size,
                epochs=epochs,
                seed=seed,
                first_step=first_step,
                validate=validate,
                devices=devices,
                callbacks=chosen,
            )
        history: History = {}
        with datasets.image_errors():
            for first_epoch, last_epoch, done in _parts(first_step, steps, epochs):
                logs = model.fit(
                    datasets.training_batches(
                        images,
                        batch_size=batch_size,
                        seed=seed,
                        first_step=first_epoch * steps + done,
                    ),
                    validation_data=(
                        datasets.evaluation_batches(images, batch_size=batch_size)
                        if validate
                        else None
                    ),
                    steps_per_epoch=steps - done,
                    initial_epoch=first_epoch,
                    epochs=last_epoch,
                    callbacks=LateCallbackList(
                        chosen, model=model, epochs=last_epoch, steps=steps - done
                    ),
                    shuffle=False,  # The batches are shuffled already.
                    verbose=0,
                ).history
                for name, values in logs.items():
                    history.setdefault(name, []).extend(values)
                if model.stop_training:
                    break
        return history


def build_metrics(model: keras.Model, images: Dataset) -> None:
    """Builds the variables of a model's metrics and optimizer, unless they exist.

    Keras builds them lazily, too late for a run that continues within an epoch or on the device. No
    public method builds both without taking a step.

    Args:
        model: Compiled model.
        images: Dataset on which it will train.
    """
    sample = np.zeros((1, *images.input_shape), "float32"), np.zeros(1, "int32")
    model._symbolic_build(data_batch=sample)


def _parts(first_step: int, steps: int, epochs: int) -> list[tuple[int, int, int]]:
    """Returns the first epoch, the last one and the steps to skip of each call of Keras' `fit`.

    The rest of an epoch needs a call of its own because it has fewer steps than the others.
    """
    epoch, done = divmod(first_step, steps)
    if not done:
        return [(epoch, epochs, 0)] if epoch < epochs else []
    return [(epoch, epoch + 1, done), *_parts((epoch + 1) * steps, steps, epochs)]
