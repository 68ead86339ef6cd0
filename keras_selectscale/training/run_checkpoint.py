"""The callback that keeps a run's folder up to date."""

import math
import os
import time
from typing import Any

import keras
from keras import ops

from keras_selectscale.training.damaged_run_error import DamagedRunError
from keras_selectscale.training.run_folder import RunFolder


class RunCheckpoint(keras.callbacks.Callback):
    """Writes the checkpoint and the history at the end of epochs, the last one always.

    Args:
        run: Folder of the run.
        epochs: Epochs of the whole run.
        first_epoch: Epochs that are already in the checkpoint.
        every_seconds: Epochs that end sooner than this after the last checkpoint are passed over;
            what a kill can lose, in time.

    Raises:
        DamagedRunError: Where the history has fewer rows than the checkpoint has epochs.
        FloatingPointError: Where the loss of an epoch is NaN or infinite. The checkpoint of the
            epoch before is kept.
    """

    def __init__(
        self, run: RunFolder, epochs: int, first_epoch: int = 0, every_seconds: float = 0.0
    ):
        super().__init__()
        self.run = run
        self.epochs = epochs
        self.every_seconds = every_seconds
        self._written = time.monotonic()
        # A run that was killed between the two files may have a row more than its checkpoint.
        self.rows: list[dict[str, Any]] = list(run.read_history()[:first_epoch])
        if len(self.rows) < first_epoch:
            raise DamagedRunError(
                f"{run.history_path} is damaged: it has {len(self.rows)} rows, and the checkpoint "
                f"{first_epoch} epochs"
            )

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Adds a row to the history, and writes the files where it is time."""
        logs = logs or {}
        if not math.isfinite(logs["loss"]):
            raise FloatingPointError(
                f"the loss is {logs['loss']} in epoch {epoch + 1}: a lower learning rate may help; "
                f"{self.run.path} keeps the state of the epoch before"
            )
        self.rows.append(
            {
                "epoch": epoch + 1,
                "loss": float(logs["loss"]),
                "accuracy": float(logs["accuracy"]),
                "learning_rate": float(ops.convert_to_numpy(self.model.optimizer.learning_rate)),
            }
        )
        if epoch + 1 == self.epochs or time.monotonic() - self._written >= self.every_seconds:
            self.write()

    def write(self) -> None:
        """Writes both files, the checkpoint first."""
        beside = self.run.path / ".checkpoint.part.keras"
        self.model.save(beside)
        os.replace(beside, self.run.checkpoint_path)
        self.run.write_history(self.rows)
        self._written = time.monotonic()
