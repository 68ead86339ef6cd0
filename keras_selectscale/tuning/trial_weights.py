"""The callback with which Hyperband goes on with a trial's training."""

import os
import pathlib

import keras


class TrialWeights(keras.callbacks.Callback):
    """Loads weights before the first epoch and writes them after the last, with the optimizer's.

    Args:
        path: File to write, beside its place and renamed.
        before: File of the trial that this one goes on with, or `None`.
    """

    def __init__(self, path: pathlib.Path, before: pathlib.Path | None):
        super().__init__()
        self.path = path
        self.before = before

    def on_train_begin(self, logs: object = None) -> None:
        """Loads the weights."""
        if self.before is not None:
            # Its state is in the file, and is passed over where there is no place for it.
            self.model.optimizer.build(self.model.trainable_variables)
            self.model.load_weights(self.before)

    def on_train_end(self, logs: object = None) -> None:
        """Writes the weights."""
        beside = self.path.with_name(f"part-{self.path.name}")
        self.model.save_weights(beside)
        os.replace(beside, self.path)
