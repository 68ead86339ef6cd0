"""Ends a run of a trial early, by whatever the search optimizes."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import keras_tuner

from keras_selectscale.tuning.objective import (
    RESULTS_IN_LOGS,
    is_better,
    missing_in,
    not_reported,
    parts_of,
)


class ObjectiveStopping(keras.callbacks.Callback):
    """Ends a run if its objective has not improved for some epochs.

    `keras.callbacks.EarlyStopping` monitors a single entry of the logs. The objective may be a sum
    of several, or a result of `DropHyperModel.fit` that the logs hold under another name.

    Args:
        objective: What is optimized.
        patience: Epochs without a better value after which the run ends.

    Raises:
        keras_tuner.errors.FatalValueError: If the logs do not contain the objective.
    """

    def __init__(self, objective: keras_tuner.Objective, patience: int):
        super().__init__()
        self.objective = objective
        self.patience = patience
        self.best_epoch: int | None = None
        self._best: float | None = None
        self._metrics: dict[str, float] = {}
        self._first_epoch = 0
        self._rows: Sequence[Mapping[str, float]] = ()

    def continue_from(self, first_epoch: int, rows: Sequence[Mapping[str, float]]) -> bool:
        """Continues a run that was stopped.

        Args:
            first_epoch: Number of its first epoch, from 0.
            rows: Logs of its finished epochs. A run that goes on may append to them.

        Returns:
            Whether the run had ended.
        """
        self._first_epoch, self._rows = first_epoch, rows
        return self._repeat()

    def on_train_begin(self, logs: Any = None) -> None:
        """Forgets an earlier run, unless it continues."""
        self._repeat()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Compares the epoch with the best one."""
        if self._is_over(epoch, logs):
            self.model.stop_training = True

    def _repeat(self) -> bool:
        self.best_epoch = self._best = None
        return any([self._is_over(self._first_epoch + i, row) for i, row in enumerate(self._rows)])

    def _is_over(self, epoch: int, logs: Mapping[str, float] | None) -> bool:
        metrics = self._metrics = dict(logs or {})
        for name, (log, convert) in RESULTS_IN_LOGS.items():
            if log in metrics:
                metrics.setdefault(name, convert(metrics[log]))
        if missing := missing_in(metrics, self.objective):
            validated = any(name.startswith("val_") for name in metrics)
            if not validated and all(name.startswith("val_") for name in missing):
                return False  # With `validation_freq`, not every epoch is validated.
            raise not_reported(missing, metrics, f"epoch {epoch + 1}")
        value = self.objective.get_value(metrics)
        if is_better(self.objective, value, self._best):
            self.best_epoch, self._best = epoch, value
        elif self.best_epoch is None:
            self.best_epoch = epoch
        elif epoch - self.best_epoch >= self.patience:
            return True
        return False

    def on_train_end(self, logs: Any = None) -> None:
        """Checks that the run could have ended early."""
        if self.best_epoch is None:
            names = [part.name for part in parts_of(self.objective)]
            raise not_reported(names, self._metrics, "the last epoch")
