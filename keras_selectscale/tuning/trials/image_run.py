"""One run of a trial on images, from the start or from where it was stopped."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_selectscale import data as datasets
from keras_selectscale.data import Dataset
from keras_selectscale.training import Recipe
from keras_selectscale.training.fit import build_metrics, fit
from keras_selectscale.tuning.objective import OBJECTIVE
from keras_selectscale.tuning.trials.checkpoint import StoppedTrial, TrialCheckpoint, TrialState
from keras_selectscale.tuning.trials.objective_stopping import ObjectiveStopping


def train_trial(
    model: keras.Model,
    images: Dataset,
    recipe: Recipe,
    *,
    epochs: int,
    initial_epoch: int,
    seed: int,
    callbacks: Sequence[keras.callbacks.Callback],
    stopped_trial: StoppedTrial | None,
) -> dict[str, float]:
    """Trains a compiled model and returns the results of `DropHyperModel.fit`.

    Args:
        model: The model.
        images: Images from `data.validation_split`.
        recipe: Recipe of the trial.
        epochs: Epochs of the whole run.
        initial_epoch: Epochs that an earlier trial has trained.
        seed: Determines the order and the augmentation of the images.
        callbacks: Callbacks. Those with a method `continue_from` are told of a run that continues.
        stopped_trial: Where a run that is stopped writes its checkpoint, and finds it again; `None`
            for a run that starts again.
    """
    steps = datasets.steps_per_epoch(images, recipe.batch_size)
    first_step, checkpoint, has_ended = initial_epoch * steps, None, False
    if stopped_trial is not None:
        build_metrics(model, images)
        settings = {
            "recipe": recipe.as_json(),
            "epochs": [initial_epoch, epochs],
            "seed": seed,
            "steps": steps,
            "backend": keras.backend.backend(),
        }
        state = stopped_trial.restore(model, settings)
        if state is None:
            state = TrialState(settings, first_step)
        else:
            told = [each for each in callbacks if hasattr(each, "continue_from")]
            has_ended = any([each.continue_from(initial_epoch, state.rows) for each in told])
        first_step = state.step
        checkpoint = TrialCheckpoint(stopped_trial, state, epochs=epochs, steps_per_epoch=steps)
    if has_ended:  # Killed before the end was recorded.
        for each in callbacks:
            each.set_model(model)
            each.on_train_end()
        history = {}
    else:
        history = fit(
            model,
            images,
            batch_size=recipe.batch_size,
            epochs=epochs,
            seed=seed,
            first_step=first_step,
            validate=True,
            fused_normalization=recipe.normalization == "fused",
            stop_check=checkpoint,
            callbacks=callbacks,
        )
    if checkpoint is not None:
        rows = checkpoint.state.rows
        history = {name: [row[name] for row in rows] for name in rows[0]}
    return _results(history, images, initial_epoch, callbacks)


def _results(
    history: dict[str, list[float]], images: Dataset, initial_epoch: int, callbacks: Sequence[Any]
) -> dict[str, float]:
    accuracies = history["val_accuracy"]
    epoch = len(accuracies) - 1
    if any(isinstance(each, keras.callbacks.EarlyStopping) for each in callbacks):
        epoch = accuracies.index(max(accuracies))
    for each in callbacks:
        if isinstance(each, ObjectiveStopping) and each.best_epoch is not None:
            epoch = each.best_epoch - initial_epoch
    # Computed from the number of images: accuracies are float32, and equal errors should
    # compare equal.
    right = round(accuracies[epoch] * images.evaluation_count)
    return {
        OBJECTIVE: 100 * (images.evaluation_count - right) / images.evaluation_count,
        "validation_loss": history["val_loss"][epoch],
        "train_error": 100 * (1 - history["accuracy"][epoch]),
        "loss": history["loss"][-1],
        "epochs": len(accuracies) + initial_epoch,
    }
