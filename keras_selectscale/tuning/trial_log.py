"""The callback that logs a trial for TensorBoard."""

import math
import pathlib
from typing import Any

import keras
import keras_tuner


class TrialLog(keras.callbacks.Callback):
    """Writes the losses and errors of each epoch, and the hyperparameters for the HParams view.

    Args:
        path: Folder of this run's log.
        hp: The trial's hyperparameters.
        name: Name of the run in the view.
    """

    def __init__(self, path: pathlib.Path, hp: keras_tuner.HyperParameters, name: str):
        super().__init__()
        self.path = path
        self.values = dict(hp.values)
        self.name = name
        self._writer: Any = None

    def on_train_begin(self, logs: object = None) -> None:
        """Opens the log."""
        import tensorflow as tf
        from tensorboard.plugins.hparams import api

        # What a kill left of this run is no part of it.
        for old in self.path.glob("events.out.*"):
            old.unlink()
        self._writer = tf.summary.create_file_writer(str(self.path))
        with self._writer.as_default():
            api.hparams(self.values, trial_id=self.name)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Writes the epoch."""
        import tensorflow as tf

        with self._writer.as_default():
            for name, value in (logs or {}).items():
                tf.summary.scalar(name, value, step=epoch + 1)
            accuracy = (logs or {}).get("val_accuracy", math.nan)
            if math.isfinite(accuracy):
                tf.summary.scalar("validation_error", 100 * (1 - accuracy), step=epoch + 1)

    def on_train_end(self, logs: object = None) -> None:
        """Closes the log."""
        self._writer.close()
        self._writer = None
