"""The checkpoint of a trial that was stopped, from which the search continues it."""

import dataclasses
import json
import math
import pathlib
import zipfile
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from keras_selectscale import files
from keras_selectscale.console import Console
from keras_selectscale.files import DamagedFileError
from keras_selectscale.regular_files import check_entries, check_regular, machine_memory
from keras_selectscale.training.run_checkpoint import ContinuingCheck, values_of
from keras_selectscale.training.stop_check import STOP
from keras_selectscale.wording import counted

# In the folder of a trial.
CHECKPOINT_FILE = "seed{seed}.checkpoint.zip"
STATE, VARIABLES = "state.json", "variables"
LOGS = {"loss", "accuracy", "val_loss", "val_accuracy"}


@dataclasses.dataclass
class TrialState:
    """How far a run of a trial has come. With the model, this is all that it needs to continue.

    Attributes:
        settings: What the run is trained with. A run with other settings starts from the beginning.
        step: Number of steps that are done, in all epochs.
        rows: Logs of each finished epoch of the run.
        metrics: Values of the metrics' variables if the run was stopped within an epoch.
    """

    settings: dict[str, Any]
    step: int
    rows: list[dict[str, float]] = dataclasses.field(default_factory=list)
    metrics: list[list[float]] = dataclasses.field(default_factory=list)


class StoppedTrial:
    """The file that a run of a trial writes when it is stopped.

    Args:
        path: The file, which need not exist.
        where: Trial and seed, for messages.
    """

    def __init__(self, path: pathlib.Path, where: str):
        self.path = path
        self.where = where

    def restore(self, model: keras.Model, settings: Mapping[str, Any]) -> TrialState | None:
        """Gives a model the values that it had when the run was stopped.

        A damaged file, and that of a run with other settings, are named and left out.

        Args:
            model: The compiled model, whose metrics and optimizer are built.
            settings: What the run is trained with, as JSON, among it `epochs` (the first and the
                last) and the `steps` of one.

        Returns:
            How far the run had come, or `None` if it starts from the beginning.
        """
        if not self.path.exists():
            return None
        try:
            check_regular(self.path)
            with zipfile.ZipFile(self.path) as archive:
                check_entries(archive, machine_memory())
                if (entry := archive.testzip()) is not None:
                    raise ValueError(f"the checksum of its entry {entry} is wrong")
                content = files.parse_json(archive.read(STATE).decode(), self.path)
                state = files.convert(content, TrialState, self.path)
                if state.settings != settings:
                    raise ValueError("it is the checkpoint of a run with other settings")
                _check_state(state, model)
                _assign_bytes(model, archive.read(VARIABLES))
            return state
        # zipfile and zlib raise errors of no common class if they read other bytes.
        except Exception as error:
            known = isinstance(error, DamagedFileError)
            reason = str(error) if known else f"{self.path} is damaged: {error}"
            Console(stderr=True).say(f"{reason}; the run starts from the beginning")
            return None

    def write(self, model: keras.Model, state: TrialState) -> None:
        """Writes the file, unless a metric is not finite: the run would fail at its next step.

        Raises:
            OSError: If it cannot be written.
        """
        numbers = [number for each in state.metrics for number in each]
        if not all(map(math.isfinite, numbers)):
            return
        with files.replacing(self.path) as beside, zipfile.ZipFile(beside, "w") as archive:
            archive.writestr(STATE, json.dumps(dataclasses.asdict(state)))
            with archive.open(VARIABLES, "w", force_zip64=True) as file:
                for variable in _variables(model):
                    file.write(keras.ops.convert_to_numpy(variable.value).tobytes())


def _check_state(state: TrialState, model: keras.Model) -> None:
    first, last = state.settings["epochs"]
    steps = state.settings["steps"]
    done = state.step // steps - first
    if not first * steps <= state.step < last * steps or len(state.rows) != done:
        raise ValueError(f"step {state.step} with the logs of {counted(len(state.rows), 'epoch')}")
    if any(not LOGS <= set(row) for row in state.rows):
        raise ValueError(f"an epoch lacks one of the logs {sorted(LOGS)}")
    sizes = [int(np.prod(variable.shape)) for variable in model.metrics_variables]
    if state.metrics and [len(values) for values in state.metrics] != sizes:
        raise ValueError(f"expected metrics of {sizes} numbers")


def _variables(model: keras.Model) -> list[Any]:
    """Returns the variables of a model and its optimizer.

    Keras' files of weights do not hold the random states of Keras' own layers.
    """
    return [*model.variables, *model.optimizer.variables]


def _assign_bytes(model: keras.Model, content: bytes) -> None:
    """Gives a model the values that were written as bytes, in the order of its variables."""
    arrays = [keras.ops.convert_to_numpy(variable.value) for variable in _variables(model)]
    expected = sum(array.nbytes for array in arrays)
    if expected != len(content):
        raise ValueError(f"expected variables of {expected:,} bytes, received {len(content):,}")
    place = 0
    for variable, array in zip(_variables(model), arrays, strict=True):
        values = np.frombuffer(content, array.dtype, array.size, place)
        variable.assign(values.reshape(array.shape))
        place += array.nbytes


class TrialCheckpoint(ContinuingCheck):
    """Stops a trial when told, after the step that is running, and writes its checkpoint.

    An evaluation is finished first.

    Args:
        stopped_trial: Where to write the checkpoint.
        state: How far the run has come; updated in place.
        epochs: Epochs of the whole run.
        steps_per_epoch: Steps per epoch.
    """

    def __init__(
        self, stopped_trial: StoppedTrial, state: TrialState, *, epochs: int, steps_per_epoch: int
    ):
        super().__init__(state, epochs=epochs, steps_per_epoch=steps_per_epoch)
        self.stopped_trial = stopped_trial

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Records the logs of the epoch."""
        self.state.rows.append({name: float(value) for name, value in (logs or {}).items()})
        super().on_epoch_end(epoch, logs)

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        """Continues: the results of an evaluation that stops would be lost."""

    def where(self) -> str:
        """Returns the trial, the seed, the epoch and the step."""
        return f"{self.stopped_trial.where}, {super().where()}"

    def act(self, agreed: int) -> None:
        """Writes the checkpoint before the training stops."""
        super().act(agreed)
        if agreed != STOP:
            return
        model = self.model  # On JAX, this property updates the variables.
        self.state.step = self.step
        if self.step % self.steps_per_epoch:
            self.state.metrics = values_of(model.metrics_variables)
        try:
            self.stopped_trial.write(model, self.state)
        except OSError as error:  # The trial has not failed.
            Console(stderr=True).say(str(error))
