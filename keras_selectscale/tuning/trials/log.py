"""The log of a run of a trial for TensorBoard."""

import math
import pathlib
import time
from collections.abc import Mapping
from typing import Any

import keras

from keras_selectscale.training.logs import EventFile


class TrialLog(keras.callbacks.Callback):
    """Logs a run for TensorBoard: its metrics, its hyperparameters and how it ended.

    Args:
        path: Folder of this run's log.
        values: The trial's hyperparameters.
        name: Name of the run in the HParams view.
    """

    def __init__(self, path: pathlib.Path, values: Mapping[str, Any], name: str):
        super().__init__()
        self.path = path
        self.values = dict(values)
        self.name = name
        self._file: EventFile | None = None
        self._continues = False

    def continue_from(self, first_epoch: int, rows: object) -> bool:
        """Keeps the log of a run that was stopped, and adds to it."""
        self._continues = True
        return False

    def on_train_begin(self, logs: object = None) -> None:
        """Opens the log."""
        if self._continues:
            self._file = self._file or EventFile(self.path)
            return
        # The package's public `hparams.api` imports TensorFlow.
        from tensorboard.plugins.hparams import summary_v2

        if self._file is not None:
            self._file.close()
        # The files of a killed run do not belong to this one.
        for old in self.path.glob("events.out.*"):
            old.unlink()
        self._file = EventFile(self.path)
        self._file.summary(summary_v2.hparams_pb(self.values, trial_id=self.name))

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Logs an epoch."""
        values = {name: float(value) for name, value in (logs or {}).items()}
        accuracy = values.get("val_accuracy", math.nan)
        if math.isfinite(accuracy):
            values["validation_error"] = 100 * (1 - accuracy)
        if self._file is not None:
            self._file.scalars(values, epoch + 1)

    def finish(self, *, failed: bool | None) -> None:
        """Logs how the run ended, and closes the log. Without that, its status is unknown.

        Args:
            failed: Whether the trial failed, which may be known only after the training; `None` if
                it was stopped.
        """
        if self._file is not None and failed is not None:
            self._log_end(self._file, failed)
        if self._file is not None:
            self._file.close()
        self._file = None

    def _log_end(self, file: EventFile, failed: bool) -> None:
        from tensorboard.compat.proto import summary_pb2
        from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2

        status = api_pb2.STATUS_FAILURE if failed else api_pb2.STATUS_SUCCESS
        info = plugin_data_pb2.SessionEndInfo(status=status, end_time_secs=time.time())
        content = plugin_data_pb2.HParamsPluginData(session_end_info=info)
        value = summary_pb2.Summary.Value(
            tag=metadata.SESSION_END_INFO_TAG,
            tensor=metadata.NULL_TENSOR,
            metadata=metadata.create_summary_metadata(content),
        )
        file.summary(summary_pb2.Summary(value=[value]))
