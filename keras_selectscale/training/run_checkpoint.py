"""The callback that follows a run and writes its checkpoints, within epochs too."""

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_selectscale.training.checkpoints import RunState
from keras_selectscale.training.run_folder import HistoryRow
from keras_selectscale.training.stop_check import CONTINUE, SAVE, StopCheck

# Time between two checkpoints if none is given, and the largest share of it for writing them.
EVERY_SECONDS = 5.0
LARGEST_SHARE = 0.05


class RunCheckpoint(StopCheck):
    """Keeps the state of a run up to date, and writes a checkpoint when it is time or it must stop.

    Args:
        state: How far the run has come; updated in place.
        write: Function that writes a checkpoint, called with the model and the state.
        epochs: Epochs of the whole run.
        steps_per_epoch: Steps per epoch.
        every_seconds: Time between two checkpoints, which a kill can lose; 0 writes a checkpoint
            after each step. `None` is 5 seconds, or longer if writing checkpoints would take more
            than a twentieth of the time.
        agree: As in `StopCheck`.

    Raises:
        FloatingPointError: If the loss or a weight is NaN or infinite. The last checkpoint, which
            is finite, is kept.
    """

    def __init__(
        self,
        state: RunState,
        write: Callable[[keras.Model, RunState], None],
        *,
        epochs: int,
        steps_per_epoch: int,
        every_seconds: float | None = 0.0,
        agree: Callable[[int], int] = int,
    ):
        super().__init__(
            epochs=epochs, steps_per_epoch=steps_per_epoch, first_step=state.step, agree=agree
        )
        self.state = state
        self.every_seconds = every_seconds
        self._write = write
        self._seconds_before = state.seconds
        self._started: float | None = None
        self._next = 0.0
        self._writing: float | None = None

    def on_train_begin(self, logs: Any = None) -> None:
        """Starts the clock once; Keras treats the rest of an epoch as a separate training."""
        if self._started is None:
            self._started = time.monotonic()
            self._next = self._started + self._wait()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Restores the metrics of a run that continues within an epoch."""
        super().on_epoch_begin(epoch, logs)
        if self.state.metrics:
            assign_values(self.model.metrics_variables, self.state.metrics)
            self.state.metrics = []

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Counts the step, and writes a checkpoint if it is time."""
        self.state.step = self._begun + batch + 1
        loss = float((logs or {})["loss"])
        if not math.isfinite(loss):
            raise FloatingPointError(self.describe(f"the loss is {loss}", self.state.step))
        super().on_train_batch_end(batch, logs)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Adds a row to the history, and writes a checkpoint if it is time or the run is done."""
        logs = logs or {}
        self.state.rows.append(
            HistoryRow(
                epoch=epoch + 1,
                loss=float(logs["loss"]),
                accuracy=float(logs["accuracy"]),
                learning_rate=float(ops.convert_to_numpy(self.model.optimizer.learning_rate)),
            )
        )
        if epoch + 1 == self.epochs:
            self.write()
        super().on_epoch_end(epoch, logs)

    def wanted(self) -> int:
        """Returns whether to continue, to write a checkpoint, or to stop after writing one."""
        is_time = SAVE if time.monotonic() >= self._next else CONTINUE
        return max(super().wanted(), is_time)

    def act(self, agreed: int) -> None:
        """Writes a checkpoint or none, and stops or continues."""
        if agreed != CONTINUE:
            self._sync()
            # At the end of an epoch its row has the values of the metrics.
            if len(self.state.rows) * self.steps_per_epoch < self.state.step:
                self.state.metrics = values_of(self.model.metrics_variables)
            self.write()
            self.state.metrics = []
        super().act(agreed)

    def write(self) -> None:
        """Writes a checkpoint, unless a weight is not finite."""
        started = time.monotonic()
        self._sync()
        for weight in self.model.weights:
            # Counters are always finite, and under `tf.distribute` they are not tensors.
            if not keras.backend.is_float_dtype(weight.dtype):
                continue
            if not np.isfinite(ops.convert_to_numpy(weight.value).astype("float32")).all():
                what = f"the weight {weight.path} is not finite"
                raise FloatingPointError(self.describe(what, self.state.step))
        self.state.seconds = round(self._seconds_before + started - (self._started or started), 3)
        self._write(self.model, self.state)
        ended = time.monotonic()
        # The first one imports what it needs, and does not tell how long the next ones take.
        self._writing = 0.0 if self._writing is None else ended - started
        self._next = ended + self._wait()

    def describe(self, what: str, step: int) -> str:
        """Returns a line about a training that diverged at a step."""
        epoch = (step - 1) // self.steps_per_epoch + 1
        return (
            f"{what} after step {step} (in epoch {epoch} of {self.epochs}): a lower learning rate "
            "may help; the last checkpoint before it is kept"
        )

    def _wait(self) -> float:
        """Returns the time until the next checkpoint."""
        if self.every_seconds is not None:
            return self.every_seconds
        return max(EVERY_SECONDS, (self._writing or 0.0) / LARGEST_SHARE)

    def _sync(self) -> None:
        """Updates the variables on JAX, where training keeps its state outside the model."""
        if hasattr(self.model, "jax_state_sync"):
            self.model.jax_state_sync()


def values_of(variables: Sequence[Any]) -> list[list[float]]:
    """Returns the flattened values of each variable, with those of all replicas concatenated.

    Under `tf.distribute`, each replica has its own sum of a metric. The total alone would not
    restore the same roundings.
    """
    return [
        np.concatenate([np.ravel(ops.convert_to_numpy(part)) for part in _replicas(variable)])
        .astype("float64")
        .tolist()
        for variable in variables
    ]


def assign_values(variables: Sequence[Any], values: Sequence[Sequence[float]]) -> None:
    """Assigns values from `values_of`.

    If the values come from another number of replicas, the first replica gets the sum of all, which
    represents the same metric.

    Raises:
        ValueError: If the values do not fit the variables.
    """
    for variable, numbers in zip(variables, values, strict=True):
        replicas = _replicas(variable)
        shape = tuple(replicas[0].shape)
        shares = np.reshape(np.asarray(numbers), (-1, *shape))
        if len(shares) != len(replicas):
            shares = np.stack([shares.sum(0), *[np.zeros(shape)] * (len(replicas) - 1)])
        for replica, share in zip(replicas, shares, strict=True):
            replica.assign(share.astype(variable.dtype))


def _replicas(variable: Any) -> Sequence[Any]:
    """Returns the variable of each replica, or the only variable."""
    parts = getattr(variable.value, "values", None)
    # A PyTorch tensor has a method called `values`.
    return parts if isinstance(parts, tuple) else [variable]
