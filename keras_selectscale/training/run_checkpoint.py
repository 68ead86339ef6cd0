"""The callback that keeps a run's folder up to date."""

import math
import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_selectscale.training import replicas
from keras_selectscale.training.run_state import RunState

# A checkpoint may take this share of the time.
LARGEST_SHARE = 0.05


class RunCheckpoint(keras.callbacks.Callback):
    """Follows the state of a run, and writes it where it is time: in the middle of epochs too.

    Args:
        state: Where the run stands; kept up to date in place.
        write: What writes a checkpoint, called with the model and the state.
        epochs: Epochs of the whole run.
        steps_per_epoch: Steps of one.
        every_seconds: Time from one checkpoint to the next, what a kill can lose; it is longer
            where writing takes more than a twentieth of it. 0 writes one after each step.
        agree: What makes of "it is time" one answer for all processes of the run.

    Raises:
        FloatingPointError: Where the loss or a weight is NaN or infinite. The last checkpoint,
            which is finite, is kept.
    """

    def __init__(
        self,
        state: RunState,
        write: Callable[[keras.Model, RunState], None],
        *,
        epochs: int,
        steps_per_epoch: int,
        every_seconds: float = 0.0,
        agree: Callable[[bool], bool] = bool,
    ):
        super().__init__()
        self.state = state
        self.epochs = epochs
        self.steps_per_epoch = steps_per_epoch
        self.every_seconds = every_seconds
        self._write = write
        self._agree = agree
        self._first_step = state.step
        self._seconds_before = state.seconds
        self._started: float | None = None
        self._next = 0.0

    def on_train_begin(self, logs: Any = None) -> None:
        """Starts the clock, once: what is left of an epoch is a training of its own."""
        if self._started is None:
            self._started = time.monotonic()
            self._next = self._started + self.every_seconds

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Puts the metrics back to where they stood in the middle of the epoch."""
        self._first_step = self.state.step
        if self.state.metrics:
            replicas.assign(self.model.metrics_variables, self.state.metrics)
            self.state.metrics = []

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Counts the step and writes a checkpoint where it is time."""
        self.state.step = self._first_step + batch + 1
        loss = float((logs or {})["loss"])
        if not math.isfinite(loss):
            raise FloatingPointError(self.describe(f"the loss is {loss}", self.state.step))
        # At an epoch's end its row is written with it.
        if self.state.step % self.steps_per_epoch and self._is_time():
            self._sync()
            self.state.metrics = replicas.values(self.model.metrics_variables)
            self.write()
            self.state.metrics = []

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Adds a row to the history, and writes a checkpoint where it is time."""
        logs = logs or {}
        self.state.rows.append(
            {
                "epoch": epoch + 1,
                "loss": float(logs["loss"]),
                "accuracy": float(logs["accuracy"]),
                "learning_rate": float(ops.convert_to_numpy(self.model.optimizer.learning_rate)),
            }
        )
        if epoch + 1 == self.epochs or self._is_time():
            self._sync()
            self.write()

    def write(self) -> None:
        """Writes a checkpoint, unless a weight is not finite."""
        started = time.monotonic()
        for weight in self.model.weights:
            if not keras.backend.is_float_dtype(weight.dtype):
                continue  # A counter is always finite, and under `tf.distribute` no tensor.
            if not np.isfinite(ops.convert_to_numpy(weight.value).astype("float32")).all():
                what = f"the weight {weight.path} is not finite"
                raise FloatingPointError(self.describe(what, self.state.step))
        self.state.seconds = round(self._seconds_before + started - (self._started or started), 3)
        self._write(self.model, self.state)
        ended = time.monotonic()
        wait = (ended - started) / LARGEST_SHARE if self.every_seconds else 0.0
        self._next = ended + max(self.every_seconds, wait)

    def describe(self, what: str, step: int) -> str:
        """Returns a line on a training that diverged at a step."""
        epoch = (step - 1) // self.steps_per_epoch + 1
        return (
            f"{what} after step {step} (in epoch {epoch} of {self.epochs}): a lower learning rate "
            "may help; the last checkpoint before it is kept"
        )

    def _is_time(self) -> bool:
        return self._agree(time.monotonic() >= self._next)

    def _sync(self) -> None:
        """Brings the variables up to date on JAX, where the training holds them apart."""
        if hasattr(self.model, "jax_state_sync"):
            self.model.jax_state_sync()
