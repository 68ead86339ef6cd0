"""Logs for TensorBoard, without the name of the host in their files' names."""

import importlib.util
import itertools
import pathlib
import time
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_selectscale.files import cannot_be_written
from keras_selectscale.surgery import DropDiagnostics


class EventFile:
    """A file of TensorBoard events.

    The writers of TensorFlow and TensorBoard put the host's name, the user's number and the
    process's number into the file's name. People publish run folders, so this file's name has only
    the time. It is written without TensorFlow.

    Args:
        folder: Folder of the file; created if it is missing.

    Raises:
        OSError: If the file cannot be written.
    """

    def __init__(self, folder: pathlib.Path):
        from tensorboard.compat.proto import event_pb2
        from tensorboard.summary.writer.record_writer import RecordWriter

        self.path = folder
        self._event = event_pb2.Event
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._records = RecordWriter(_new_file(folder))
        except OSError as error:
            raise cannot_be_written(folder, error) from None
        self._write(file_version="brain.Event:2")

    def scalars(self, values: dict[str, float], step: int) -> None:
        """Writes values by their tags.

        Raises:
            OSError: If the file cannot be written.
        """
        from tensorboard.plugins.scalar.summary import scalar_pb

        for tag, value in values.items():
            self._write(summary=scalar_pb(tag, value), step=step)

    def histograms(self, values: dict[str, Any], step: int) -> None:
        """Writes the distributions of arrays by their tags.

        Raises:
            OSError: If the file cannot be written.
        """
        from tensorboard.plugins.histogram.summary import histogram_pb

        for tag, array in values.items():
            self._write(summary=histogram_pb(tag, array), step=step)

    def summary(self, summary: Any) -> None:
        """Writes a `Summary` message, such as one of the HParams plugin."""
        self._write(summary=summary)

    def close(self) -> None:
        """Closes the file."""
        self._records.close()

    def _write(self, **fields: Any) -> None:
        event = self._event(wall_time=time.time(), **fields)
        try:
            self._records.write(event.SerializeToString())
            self._records.flush()
        except OSError as error:
            raise cannot_be_written(self.path, error) from None


class EpochLog(keras.callbacks.Callback):
    """Writes the logs of each epoch, with the tags of `keras.callbacks.TensorBoard`.

    Args:
        folder: Folder of the logs.
        diagnostics: Callbacks before this one, whose shares of the channels are written as
            histograms.
    """

    def __init__(self, folder: pathlib.Path, diagnostics: Sequence[DropDiagnostics] = ()):
        super().__init__()
        self.folder = folder
        self.diagnostics = diagnostics
        self._file: EventFile | None = None

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Writes the epoch."""
        if self._file is None:
            self._file = EventFile(self.folder / "train")
        rate = float(ops.convert_to_numpy(self.model.optimizer.learning_rate))
        values = {**(logs or {}), "learning_rate": rate}
        self._file.scalars({f"epoch_{name}": float(v) for name, v in values.items()}, epoch)
        for each in self.diagnostics:
            found = each.history.get(epoch, {})
            shares = {f"drop_selected/{site}": seen.selected for site, seen in found.items()}
            known = {tag: values for tag, values in shares.items() if values is not None}
            self._file.histograms(known, epoch)

    def on_train_end(self, logs: Any = None) -> None:
        """Closes the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


def can_log() -> bool:
    """Returns whether TensorBoard is installed."""
    return importlib.util.find_spec("tensorboard") is not None


def _new_file(folder: pathlib.Path) -> Any:
    """Opens a file whose name sorts behind those that exist."""
    for number in itertools.count():
        path = folder / f"events.out.tfevents.{int(time.time()):010d}.{number}"
        try:
            return path.open("xb")
        except FileExistsError:
            continue
