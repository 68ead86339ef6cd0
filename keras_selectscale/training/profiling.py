"""Traces of training steps for TensorBoard's profiler."""

import contextlib
import pathlib
from collections.abc import Iterator
from typing import Any

import keras
from keras import ops

from keras_selectscale.files import cannot_be_written

# Steps before a trace, which compile and warm up, and steps of the trace.
SKIPPED_STEPS, TRACED_STEPS = 10, 10


@contextlib.contextmanager
def trace(folder: pathlib.Path) -> Iterator[None]:
    """Writes a trace of the work inside the context, with the profiler of the backend.

    The names of its files contain the name of the host.

    Args:
        folder: Folder of the trace, created if it is missing; show it with
            `tensorboard --logdir FOLDER` and the package `tensorboard-plugin-profile`.

    Raises:
        OSError: If the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_be_written(folder, error) from None
    backend = keras.backend.backend()
    with contextlib.ExitStack() as held:
        if backend == "tensorflow":
            import tensorflow as tf

            held.enter_context(tf.profiler.experimental.Profile(str(folder)))
        elif backend == "jax":
            import jax

            held.enter_context(jax.profiler.trace(str(folder)))
        else:
            from torch import profiler

            ready = profiler.tensorboard_trace_handler(str(folder))
            held.enter_context(profiler.profile(on_trace_ready=ready))
        yield


class StepTrace(keras.callbacks.Callback):
    """Writes a trace of some steps of a training.

    The trace begins with the first step or dispatch after 10 steps and ends after at least 10 more,
    or with the training.

    Args:
        folder: Folder of the trace.
    """

    late_logs = True

    def __init__(self, folder: pathlib.Path):
        super().__init__()
        self.folder = folder
        self._before = self._steps = 0
        self._until: int | None = None
        self._held = contextlib.ExitStack()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Counts the steps of the epochs before."""
        self._before = self._steps

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Begins the trace."""
        if self._until is None and self._steps >= SKIPPED_STEPS:
            self._wait()
            self._held.enter_context(trace(self.folder))
            self._until = self._steps + TRACED_STEPS

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Ends the trace."""
        self._steps = self._before + batch + 1
        if self._until is not None and self._steps >= self._until:
            self._wait()
            self._held.close()

    def on_train_end(self, logs: Any = None) -> None:
        """Ends the trace if the training was short."""
        self._held.close()

    def _wait(self) -> None:
        """Waits for the steps that the device was given."""
        ops.convert_to_numpy(self.model.optimizer.iterations.value)
