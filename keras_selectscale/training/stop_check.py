"""The callbacks that stop a training when told, after the step that is running."""

from collections.abc import Callable
from typing import Any

import keras

from keras_selectscale import stopping

# What a process may want after a step; several processes do the highest.
CONTINUE, SAVE, STOP = range(3)


class EvaluationStop(keras.callbacks.Callback):
    """Stops an evaluation on a signal. A time limit waits for its end."""

    late_logs = True

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        """Stops the evaluation."""
        stopping.check_signals()


class StopCheck(EvaluationStop):
    """Decides after each step whether a training must stop.

    It is the first callback of a training. The last one, `StopRaise`, stops the training, so that
    all others see the step or the epoch that has ended.

    Args:
        epochs: Epochs of the whole training.
        steps_per_epoch: Steps per epoch.
        first_step: Number of steps that are already done.
        agree: Function that turns what each process wants (0 to continue) into one answer, the
            highest, for all processes of a run.

    Attributes:
        stopped: The exception that ends the training, or `None` if it continues.
    """

    def __init__(
        self,
        *,
        epochs: int,
        steps_per_epoch: int,
        first_step: int = 0,
        agree: Callable[[int], int] = int,
    ):
        super().__init__()
        self.epochs = epochs
        self.steps_per_epoch = steps_per_epoch
        self.step = self._begun = first_step
        self.stopped: BaseException | None = None
        self._agree = agree

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Records the step."""
        self._begun = self.step

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Counts the step. The decision about the last step of an epoch is made at its end."""
        self.step = self._begun + batch + 1
        if self.step % self.steps_per_epoch:
            self.act(self._agree(self.wanted()))

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Decides, unless the training is done."""
        if epoch + 1 < self.epochs:
            self.act(self._agree(self.wanted()))

    def wanted(self) -> int:
        """Returns what this process wants."""
        return CONTINUE if stopping.reason() is None else STOP

    def act(self, agreed: int) -> None:
        """Does what the processes have agreed on."""
        if agreed == STOP:
            why = stopping.reason() or "another process of the run"
            self.stopped = stopping.stop(why, self.where())

    def where(self) -> str:
        """Returns the epoch and the step that the training has reached."""
        return f"at {position(self.step, self.steps_per_epoch, self.epochs)}"


class StopRaise(keras.callbacks.Callback):
    """Stops a training if a `StopCheck` has decided so.

    Args:
        stop_check: The `StopCheck`.

    Raises:
        KeyboardInterrupt: If Ctrl-C was pressed.
        Stopped: If SIGTERM arrived or the time limit has passed.
    """

    late_logs = True

    def __init__(self, stop_check: StopCheck):
        super().__init__()
        self.stop_check = stop_check

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Stops the training."""
        if self.stop_check.stopped is not None:
            raise self.stop_check.stopped

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Stops the training."""
        self.on_train_batch_end(0)


def position(step: int, steps_per_epoch: int, epochs: int) -> str:
    """Returns the epoch and its step that a training has reached, as text."""
    epoch = min(step // steps_per_epoch + 1, epochs)
    done = step - (epoch - 1) * steps_per_epoch
    return f"epoch {epoch} of {epochs}, step {done} of {steps_per_epoch}"
