"""The callback that tells of a trial while it runs."""

import time
from typing import Any

import keras

EVERY_SECONDS = 5.0


class LifeSign(keras.callbacks.Callback):
    """Tells a listener of each epoch, and from a worker its chief that it is alive.

    Args:
        tuner: The `DropTuner`.
        trial: The trial that runs.
        seed: With which seed.
    """

    def __init__(self, tuner: Any, trial: Any, seed: int):
        super().__init__()
        self.tuner = tuner
        self.trial = trial
        self.seed = seed
        self._given = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Gives a sign where it is time."""
        self._give()

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        """Gives a sign where it is time."""
        self._give()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Tells the listener."""
        if self.tuner.listener is not None:
            self.tuner.listener.on_epoch_end(self.trial, self.seed, epoch)

    def _give(self) -> None:
        now = time.monotonic()
        if self.tuner.is_worker and now - self._given >= EVERY_SECONDS:
            self._given = now
            self.tuner.give_sign(self.trial)
