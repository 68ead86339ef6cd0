"""The progress of a training run on the terminal."""

import time
from collections.abc import Callable
from typing import Any

import keras
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from keras_selectscale.console import Console


def make_progress() -> Progress:
    """Returns a progress display on standard error, which draws only on a terminal."""
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )


def lines_beside(progress: Progress | None, label: str) -> Callable[[str], Any]:
    """Returns the function that shows a line next to the progress, if any."""
    if progress is None:
        return lambda line: None
    prefix = f"{label}  " if label else ""
    return lambda line: progress.console.print(
        f"{prefix}{line}", highlight=False, markup=False, soft_wrap=True
    )


class EpochProgress(keras.callbacks.Callback):
    """Shows a bar over the steps on a terminal, and prints a line per epoch otherwise.

    Args:
        progress: The display, already started.
        epochs: Epochs of the whole run.
        steps_per_epoch: Steps per epoch.
        first_step: Number of steps that are already done.
        label: Text before the number of the epoch.
        epoch_lines: Whether to print a line per epoch if there is no terminal.
    """

    late_logs = True

    def __init__(
        self,
        progress: Progress,
        epochs: int,
        steps_per_epoch: int,
        first_step: int = 0,
        label: str = "",
        epoch_lines: bool = True,
    ):
        super().__init__()
        self.progress = progress
        self.epochs = epochs
        self.steps_per_epoch = steps_per_epoch
        self.label = f"{label}  " if label else ""
        self.epoch_lines = epoch_lines
        self._done = self._begun = first_step
        self._task: Any = None
        self._started = 0.0

    def on_train_begin(self, logs: Any = None) -> None:
        """Shows the bar."""
        self._task = self.progress.add_task(
            f"{self.label}epoch {self._done // self.steps_per_epoch + 1}/{self.epochs}",
            total=self.epochs * self.steps_per_epoch,
            completed=self._done,
        )

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Records the time and the step."""
        self._begun = self._done
        self._started = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Moves the bar."""
        self._done = self._begun + batch + 1
        self.progress.update(self._task, completed=self._done)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Shows the loss and the error of the epoch."""
        logs = logs or {}
        state = (
            f"{self.label}epoch {epoch + 1}/{self.epochs}  loss {logs['loss']:.4f}  "
            f"training error {100 * (1 - logs['accuracy']):.2f}%"
        )
        self.progress.update(self._task, description=state)
        if self.progress.disable and self.epoch_lines:
            seconds = time.perf_counter() - self._started
            self.progress.console.print(f"{state}  {seconds:.1f} s", highlight=False, markup=False)

    def on_train_end(self, logs: Any = None) -> None:
        """Removes the bar."""
        self.progress.remove_task(self._task)
