"""The callback that follows a run and writes its checkpoints, within epochs too."""

import contextlib
import dataclasses
import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_selectscale.training.background import BackgroundWriter, Snapshot
from keras_selectscale.training.checkpoints import RunState, prepare_saving
from keras_selectscale.training.run_folder import HistoryRow
from keras_selectscale.training.stop_check import CONTINUE, SAVE, StopCheck

# If no time between two checkpoints is given, it is the longest of these: this time, the one in
# which writing takes this share of it, and the one in which a disk takes this many bytes.
EVERY_SECONDS = 5.0
LARGEST_SHARE = 0.05
BYTES_PER_SECOND = 10e9 / 3600


class ContinuingCheck(StopCheck):
    """A `StopCheck` of a training that may have begun within an epoch.

    Args:
        state: How far the training has come, with `step` and `metrics`, the values of the metrics'
            variables if it was stopped within an epoch.
        epochs: As in `StopCheck`.
        steps_per_epoch: As in `StopCheck`.
        agree: As in `StopCheck`.
    """

    def __init__(
        self, state: Any, *, epochs: int, steps_per_epoch: int, agree: Callable[[int], int] = int
    ):
        super().__init__(
            epochs=epochs, steps_per_epoch=steps_per_epoch, first_step=state.step, agree=agree
        )
        self.state = state

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Restores the metrics of a run that continues within an epoch."""
        super().on_epoch_begin(epoch, logs)
        if self.state.metrics:
            assign_values(self.model.metrics_variables, self.state.metrics)
            self.state.metrics = []


class RunCheckpoint(ContinuingCheck):
    """Keeps the state of a run up to date, and writes a checkpoint when it is time or it must stop.

    Args:
        state: How far the run has come; updated in place.
        write: Function that writes a checkpoint, called with the model and the state. It returns
            the number of bytes, or `None`.
        epochs: Epochs of the whole run.
        steps_per_epoch: Steps per epoch.
        every_seconds: Time between two checkpoints, which a kill can lose; 0 writes a checkpoint
            after each step. `None` is 5 seconds, or longer if writing checkpoints would take more
            than a twentieth of the time or more than 10 GB per hour.
        writer: Thread in which to write the checkpoints from a copy of the state, except the last
            one and one before stopping; `None` to write all of them at once. A checkpoint waits for
            the one before it. An error of the thread is raised after a later step.
        started: `time.monotonic()` when the training was called; `None` if it begins with its
            first step.
        agree: As in `StopCheck`.

    Raises:
        FloatingPointError: If the loss or a weight is NaN or infinite. The last checkpoint, which
            is finite, is kept.
        OSError: If a checkpoint cannot be written.
    """

    def __init__(
        self,
        state: RunState,
        write: Callable[[keras.Model, RunState], int | None],
        *,
        epochs: int,
        steps_per_epoch: int,
        every_seconds: float | None = 0.0,
        writer: BackgroundWriter | None = None,
        started: float | None = None,
        agree: Callable[[int], int] = int,
    ):
        super().__init__(state, epochs=epochs, steps_per_epoch=steps_per_epoch, agree=agree)
        self.state: RunState = state
        self.every_seconds = every_seconds
        self._write = write
        self._writer = writer
        self._seconds_before = state.seconds
        self._started = started
        self._starting = True
        self._next: float | None = None
        self._writing: float | None = None

    def on_train_begin(self, logs: Any = None) -> None:
        """Starts the clock once; Keras treats the rest of an epoch as a separate training."""
        if self._next is None:
            now = time.monotonic()
            self._started = now if self._started is None else self._started
            self._next = now + self._wait(0)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Counts the step, and writes a checkpoint if it is time."""
        self.state.step = self._begun + batch + 1
        if self._starting and self._started is not None:
            self._starting = False
            seconds = self.state.startup_seconds + time.monotonic() - self._started
            self.state.startup_seconds = round(seconds, 3)
        if logs:
            self.on_late_logs(batch, logs)
        if self._writer is not None:
            self._writer.check()
        super().on_train_batch_end(batch, logs)

    def on_late_logs(self, batch: int, logs: dict[str, Any]) -> None:
        """Checks the loss of a step."""
        loss = float(logs["loss"])
        if not math.isfinite(loss):
            raise self.diverged(f"the loss is {loss}", self._begun + batch + 1)

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
        # By default no step waits for a disk that is too slow.
        busy = self.every_seconds is None and self._writer is not None and self._writer.is_busy
        is_time = SAVE if time.monotonic() >= (self._next or 0.0) and not busy else CONTINUE
        return max(super().wanted(), is_time)

    def act(self, agreed: int) -> None:
        """Writes a checkpoint or none, and stops or continues."""
        if agreed != CONTINUE:
            # At the end of an epoch its row has the values of the metrics.
            within = len(self.state.rows) * self.steps_per_epoch < self.state.step
            self.write(with_metrics=within, later=agreed == SAVE)
        super().act(agreed)

    def write(self, *, with_metrics: bool = False, later: bool = False) -> None:
        """Writes a checkpoint, unless a value is not finite.

        Args:
            with_metrics: Whether the checkpoint is one within an epoch.
            later: Whether the thread may write it, if there is one.
        """
        started = time.monotonic()
        if self._writer is not None:
            self._writer.join()
        # On JAX, where training keeps its state outside the model, this property updates the
        # variables; the thread must not read it.
        model = self.model
        self.state.seconds = round(self._seconds_before + started - (self._started or started), 3)
        state = dataclasses.replace(self.state, rows=[*self.state.rows])
        self._next = started + self._wait(0)
        if later and self._writer is not None:
            values = Snapshot(model).values()
            self._writer.start(lambda: self._write_values(model, state, values, with_metrics))
        else:
            self._write_values(model, state, contextlib.nullcontext(), with_metrics)

    def _write_values(
        self,
        model: keras.Model,
        state: RunState,
        values: contextlib.AbstractContextManager,
        with_metrics: bool,
    ) -> None:
        """Writes a checkpoint with the values that the variables have inside a context."""
        started = time.monotonic()
        prepare_saving()
        with values:
            metrics = values_of(model.metrics_variables)
            if not all(math.isfinite(number) for each in metrics for number in each):
                raise self.diverged("a metric is not finite", state.step)
            for weight in model.weights:
                # Counters are always finite, and under `tf.distribute` they are not tensors.
                if keras.backend.is_float_dtype(weight.dtype) and not _is_finite(weight):
                    raise self.diverged(f"the weight {weight.path} is not finite", state.step)
            if with_metrics:
                state.metrics = metrics
            size = self._write(model, state)
        ended = time.monotonic()
        # The first one imports what it needs, and does not tell how long the next ones take.
        self._writing = 0.0 if self._writing is None else ended - started
        self._next = (ended if self.every_seconds is None else started) + self._wait(size or 0)

    def diverged(self, what: str, step: int) -> FloatingPointError:
        """Returns the error of a training that diverged at a step."""
        epoch = (step - 1) // self.steps_per_epoch + 1
        return FloatingPointError(
            f"{what} after step {step} (in epoch {epoch} of {self.epochs}): a lower learning rate "
            "may help; the last checkpoint before it is kept"
        )

    def _wait(self, size: int) -> float:
        """Returns the time until the next checkpoint after one of `size` bytes."""
        if self.every_seconds is not None:
            return self.every_seconds
        writing = (self._writing or 0.0) / LARGEST_SHARE
        return max(EVERY_SECONDS, writing, size / BYTES_PER_SECOND)


def _is_finite(weight: Any) -> bool:
    values = ops.convert_to_numpy(weight.value)
    # NumPy does not know bfloat16, and half precisions are small.
    values = values if values.dtype.itemsize >= 4 else values.astype("float32")
    return bool(np.isfinite(values).all())


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
