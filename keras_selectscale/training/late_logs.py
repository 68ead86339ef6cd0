"""The callbacks of a training whose host does not wait for the device after each step."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

Rows = dict[str, np.ndarray]


class LateCallbackList(keras.callbacks.CallbackList):
    """Calls callbacks like Keras' list, but reads the logs of a step after the next one has begun.

    Reading a log waits for its step, and a device that has been given no other step idles until
    then. A callback with the attribute `late_logs` set to true is called without logs right after a
    step was given to the device; it may have a method `on_late_logs(batch, logs)`, which is called
    later with the logs of this step. If another callback listens to the end of batches, the logs
    are read at once, as in Keras.

    Args:
        callbacks: The callbacks.
        model: The model.
        epochs: Epochs of the training.
        steps: Steps per epoch.
    """

    def __init__(
        self,
        callbacks: Sequence[keras.callbacks.Callback],
        *,
        model: keras.Model,
        epochs: int,
        steps: int,
    ):
        super().__init__(
            list(callbacks), add_history=True, model=model, epochs=epochs, steps=steps, verbose=0
        )
        self.at_once = any(
            not getattr(callback, "late_logs", False) and _listens(callback)
            for callback in callbacks
        )
        self._late = [callback for callback in callbacks if hasattr(callback, "on_late_logs")]
        self._waiting: list[tuple[int, Any]] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Calls the callbacks after a step, or after several.

        Args:
            batch: Number of the last step within the training of the epoch.
            logs: Values of the step on the device, each a scalar, or one number per step.
        """
        if self.at_once:
            rows = _read(logs or {})
            last = _last_row(rows)
            count = max((len(values) for values in rows.values()), default=1)
            self._on_train_batch_end(
                batch - (count - 1 - last),
                {name: float(values[last]) for name, values in rows.items()},
            )
            return
        if self._late and logs:
            self._waiting.append((batch, logs))
        self._read_until(1)
        for callback in self.callbacks:
            callback.on_train_batch_end(batch, {})

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Calls the callbacks after an epoch."""
        self._read_until(0)
        super().on_epoch_end(epoch, logs)

    def _read_until(self, left: int) -> None:
        while len(self._waiting) > left:
            batch, logs = self._waiting.pop(0)
            rows = _read(logs)
            last = _last_row(rows)
            count = max(len(values) for values in rows.values())
            row = {name: float(values[last]) for name, values in rows.items()}
            for callback in self._late:
                callback.on_late_logs(batch - (count - 1 - last), row)


def _listens(callback: keras.callbacks.Callback) -> bool:
    """Returns whether a callback overrides what is called after a training batch."""
    plain, kind = keras.callbacks.Callback, type(callback)
    methods = ("on_train_batch_end", "on_batch_end")
    # A `LambdaCallback` sets methods of the instance.
    return any(
        getattr(kind, name) is not getattr(plain, name) or name in vars(callback)
        for name in methods
    )


def _read(logs: dict[str, Any]) -> Rows:
    """Returns the logs as arrays with one number per step; this waits for the device."""
    return {
        name: np.atleast_1d(keras.ops.convert_to_numpy(values)) for name, values in logs.items()
    }


def _last_row(rows: Rows) -> int:
    """Returns the number of the row to report: the diverging step if there is one.

    Once NaN, the running mean of the loss stays NaN; the first such row is the diverging step.
    """
    if "loss" not in rows:
        return -1 if not rows else len(next(iter(rows.values()))) - 1
    bad = np.flatnonzero(~np.isfinite(rows["loss"]))
    return int(bad[0]) if bad.size else len(rows["loss"]) - 1
