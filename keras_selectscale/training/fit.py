"""The one function that trains."""

import math
import time
import zipfile
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from rich.progress import Progress

from keras_selectscale import data as datasets
from keras_selectscale import models
from keras_selectscale.data import AnyImages
from keras_selectscale.training.damaged_run_error import DamagedRunError
from keras_selectscale.training.epoch_progress import EpochProgress
from keras_selectscale.training.recipe import Recipe
from keras_selectscale.training.run_checkpoint import RunCheckpoint
from keras_selectscale.training.run_folder import RunFolder

# Images of an evaluation batch: as many as take the room of 500 of CIFAR's, and not over 500.
EVALUATION_BATCH = 500
EVALUATION_POSITIONS = 500 * 32 * 32
# The top-5 error is reported from here on, as on ImageNet.
TOP5_CLASSES = 1000


def train(
    recipe: Recipe,
    run: RunFolder,
    images: AnyImages,
    *,
    progress: Progress | None = None,
    label: str = "",
    epoch_lines: bool = True,
    tensorboard: bool = True,
    checkpoint_seconds: float = 30.0,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> dict[str, Any]:
    """Trains a recipe in a run's folder: from the start, from where it stopped, or not at all.

    Args:
        recipe: What to train.
        run: Folder of the run, already opened with this recipe.
        images: The recipe's dataset, as `data.load` gives it.
        progress: Where to show progress, already started; `None` shows none.
        label: What stands before the epoch there.
        epoch_lines: Whether to print a line an epoch where `progress` is on no terminal.
        tensorboard: Whether to write TensorBoard logs.
        checkpoint_seconds: Epochs that end sooner after the last checkpoint write none.
        callbacks: Further callbacks of one's own.

    Returns:
        The result, as it stands in `result.json`: `test_error` and `train_error` in percent
        (`test_top5_error` too for 1,000 classes and more), `test_loss`, `parameters`, `epochs`,
        `seconds` (of this call's epochs) and `images_per_second`.

    Raises:
        DamagedRunError: Where a file of the run cannot be read or does not fit the others.
        FloatingPointError: Where the loss is no longer finite.
        OSError: Where an image cannot be read, or the folder not be written.
    """
    result = run.read_result()
    if result is not None:
        return result
    steps = datasets.steps_per_epoch(images, recipe.batch_size)
    if run.checkpoint_path.exists():
        model = load_checkpoint(run)
    else:
        model = build_model(recipe, images, steps)
    first_epoch = int(model.optimizer.iterations) // steps
    checkpoint = RunCheckpoint(run, recipe.epochs, first_epoch, checkpoint_seconds)
    all_callbacks: list[keras.callbacks.Callback] = [checkpoint, *callbacks]
    if tensorboard:
        all_callbacks.append(keras.callbacks.TensorBoard(str(run.log_path), write_graph=False))
    if progress is not None:
        all_callbacks.append(
            EpochProgress(progress, recipe.epochs, steps, first_epoch, label, epoch_lines)
        )
    started = time.perf_counter()
    if first_epoch < recipe.epochs:
        with datasets.image_errors():
            model.fit(
                datasets.training_batches(
                    images,
                    batch_size=recipe.batch_size,
                    seed=recipe.seed,
                    first_step=first_epoch * steps,
                ),
                steps_per_epoch=steps,
                initial_epoch=first_epoch,
                epochs=recipe.epochs,
                callbacks=all_callbacks,
                shuffle=False,  # The batches are.
                verbose=0,
            )
    seconds = time.perf_counter() - started
    test = evaluate(model, images)
    if not math.isfinite(test["loss"]):
        raise FloatingPointError(
            f"the test loss is {test['loss']} after the last epoch: a lower learning rate may help"
        )
    trained = (recipe.epochs - first_epoch) * images.train_count
    result = {
        **{f"test_{name}": value for name, value in test.items()},
        "train_error": 100 * (1 - float(checkpoint.rows[-1]["accuracy"])),
        "parameters": sum(int(np.prod(w.shape)) for w in model.trainable_weights),
        "epochs": recipe.epochs,
        "seconds": round(seconds, 2),
        "images_per_second": round(trained / seconds, 1),
    }
    run.write_result(result)
    return result


def load_checkpoint(run: RunFolder) -> keras.Model:
    """Returns the model of a run's checkpoint, compiled, with its optimizer and random states.

    Raises:
        DamagedRunError: Where the file cannot be read as one.
    """
    try:
        with zipfile.ZipFile(run.checkpoint_path):
            pass
        return keras.models.load_model(run.checkpoint_path)
    except (ValueError, TypeError, KeyError, OSError, zipfile.BadZipFile) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DamagedRunError(f"{run.checkpoint_path} is damaged: {reason}") from None


def build_model(recipe: Recipe, images: AnyImages, steps_per_epoch: int) -> keras.Model:
    """Returns the compiled model of a recipe, its initial weights decided by the seed."""
    keras.utils.set_random_seed(recipe.seed)
    drop: Any = recipe.make_drop(recipe.epochs * steps_per_epoch)
    if drop is not None and recipe.group_factors is not None:
        drop = models.by_group(drop, dict(recipe.group_factors))
    model = models.build(
        recipe.network,
        drop=drop,
        input_shape=images.input_shape,
        classes=images.classes,
        data_format="channels_last",
    )
    metrics: list[Any] = ["accuracy"]
    if images.classes >= TOP5_CLASSES:
        metrics.append(keras.metrics.SparseTopKCategoricalAccuracy(5, name="top5_accuracy"))
    model.compile(
        optimizer=recipe.make_optimizer(steps_per_epoch),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=metrics,
        # On TensorFlow the plain graph trains faster than XLA on a CPU.
        jit_compile=keras.backend.backend() == "jax",
    )
    return model


def evaluate(model: keras.Model, images: AnyImages, split: str = "test") -> dict[str, float]:
    """Returns `loss`, and `error` (and `top5_error`) in percent, on a split, without drops."""
    height, width, _ = images.input_shape
    batch_size = max(1, min(EVALUATION_BATCH, EVALUATION_POSITIONS // (height * width)))
    with datasets.image_errors():
        values = model.evaluate(
            datasets.evaluation_batches(images, batch_size=batch_size, split=split),
            verbose=0,
            return_dict=True,
        )
    errors = {
        name.replace("accuracy", "error"): 100 * (1 - float(value))
        for name, value in values.items()
        if name.endswith("accuracy")
    }
    return {"loss": float(values["loss"]), **errors}
