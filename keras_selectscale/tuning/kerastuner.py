"""KerasTuner's oracle and tuner, made to survive a kill.

The private names that are used here, and what could replace them:

- `Oracle._random_values`, `_duplicate`, `_record_values`, `_compute_values_hash` and
  `_max_collisions` draw points that no trial has had. A public method that draws a point, or an
  oracle of this package that is not derived from KerasTuner's, could replace them.
- `Oracle._retry_queue` holds the trials to run again, and `_save_trial` writes one. KerasTuner's
  own `end_trial` uses both, so they go when it is replaced.
- `Oracle._project_dir` is the folder. The public `directory` and `project_name` are never set.
- `Tuner._populate_initial_space` is called when a tuner has decided that its folder is empty. An
  argument `overwrite=False` that looks for `oracle.json` could replace it.
- `keras_tuner.src.protos`, `distribute.oracle_chief` and `distribute.oracle_client` are the chief
  and its workers. Their only public interface is environment variables.
"""

import json
import os
import pathlib
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import keras_tuner
from keras_tuner.engine.trial import Trial

from keras_selectscale.checks import ArgumentValueError, shown
from keras_selectscale.files import DamagedFileError, write_text
from keras_selectscale.tuning.objective import parts_of
from keras_selectscale.tuning.space import with_one_share
from keras_selectscale.tuning.state import (
    ENDED,
    ORACLE_FILE,
    TUNER_FILE,
    decoded,
    ids_in,
    read_oracle,
    read_trial,
    tuner_of,
)

# Environment variables that KerasTuner reads.
ID_VARIABLE = "KERASTUNER_TUNER_ID"
ADDRESS_VARIABLE = "KERASTUNER_ORACLE_IP"
PORT_VARIABLE = "KERASTUNER_ORACLE_PORT"
# With KerasTuner's 20, a search would give up a small space before all points have been tried.
MOST_COLLISIONS = 1000


class LastingOracle(keras_tuner.Oracle):
    """An oracle whose search continues after a kill with nothing lost and no trial counted twice.

    KerasTuner writes its files in place and one after the other. This class writes each file under
    a temporary name and renames it, and reading makes the files consistent: a trial that only its
    own file mentions has not begun, a trial whose own file says that it has ended has ended, and
    any other trial runs again under its id. As a mixin, it must precede KerasTuner's oracle among
    the bases.
    """

    tuner: str
    # Set by KerasTuner, which does not annotate them.
    trials: dict[str, Any]
    ongoing_trials: dict[str, Any]
    _retry_queue: list[str]

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.verbose = 0
        self._max_collisions = MOST_COLLISIONS

    def identity(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the values by which points are compared; equal points are not tried twice."""
        return with_one_share(values, self.hyperparameters.space)

    def was_tried(self, values: Mapping[str, Any]) -> bool:
        """Returns whether a trial has had these values."""
        return self._duplicate(values)

    def random_values(self) -> dict[str, Any] | None:
        """Returns a random point that no trial has had, or `None` if none was found."""
        return self._random_values()

    @keras_tuner.synchronized
    def create_trial(self, tuner_id: str) -> Any:
        """Returns a trial to run: an interrupted one, or a new one.

        KerasTuner's ids are numbers with leading zeros. Those of this class remain strings when a
        table is read, and their length does not depend on the number of trials.
        """
        if tuner_id in self.ongoing_trials:
            return self.ongoing_trials[tuner_id]
        self.tuner_ids.add(tuner_id)
        if self._retry_queue:
            trial = self.trials[self._retry_queue.pop()]
            trial.status = "RUNNING"
            self.ongoing_trials[tuner_id] = trial
            self.save()
            return trial
        trial_id = f"t{len(self.trials):04d}"
        response: dict[str, Any] = {"status": "STOPPED"}
        if not self.max_trials or len(self.trials) < self.max_trials:
            response = self.populate_space(trial_id)
        hyperparameters = self.hyperparameters.copy()
        hyperparameters.values = response.get("values") or {}
        trial = Trial(hyperparameters, trial_id, response["status"])
        if trial.status == "RUNNING":
            self._record_values(trial)
            self.ongoing_trials[tuner_id] = self.trials[trial_id] = trial
            self.start_order.append(trial_id)
            self._save_trial(trial)
            self.save()
        elif trial.status == "STOPPED":
            self.tuner_ids.remove(tuner_id)
        return trial

    def update_trial(self, trial_id: str, metrics: Any, step: int = 0) -> Any:
        """Records the metrics of one run of a trial."""
        with warnings.catch_warnings():
            # NumPy warns of a metric that is always NaN; only the objective must be a number.
            warnings.filterwarnings("ignore", "All-NaN", RuntimeWarning)
            return super().update_trial(trial_id, metrics, step)

    @keras_tuner.synchronized
    def end_trial(self, trial: Any) -> None:
        """Ends a trial, once."""
        known = self.trials[trial.trial_id]
        if known.status in ENDED and trial is not known:
            return
        # The values of a worker's trial have been rounded to 32 bits.
        trial.hyperparameters.values.update(known.hyperparameters.values)
        super().end_trial(trial)

    def save(self) -> None:
        """Writes the state of the search."""
        write_text(self.folder / ORACLE_FILE, json.dumps(self.get_state()))

    def reload(self) -> None:
        """Reads the state of the search, and queues the interrupted trials.

        Raises:
            DamagedFileError: If a file is damaged or missing.
            ValueError: If the search has another tuner or another objective.
        """
        state = read_oracle(self.folder)
        path = self.folder / ORACLE_FILE
        trials = {}
        # KerasTuner globs the whole path, in which `[` and `*` are patterns.
        for trial_path in self.folder.glob("trial_*/trial.json"):
            trial = decoded(trial_path, Trial.from_state, read_trial(trial_path))
            trials[trial.trial_id] = trial
        for field, trial_id in ids_in(state):
            if trial_id not in trials:
                missing = f"the file trial_{trial_id}/trial.json is missing"
                raise DamagedFileError(f"{path} is damaged: the field `{field}`: {missing}")
        found = decoded(path, tuner_of, state)
        if found not in (None, self.tuner):
            raise ArgumentValueError.about(
                "tuner",
                f"Argument `tuner` must be {found!r} to continue the search in {self.folder}. "
                f"Received: tuner={self.tuner!r}",
            )
        order = decoded(path, lambda each: each["start_order"], state)
        self.trials = {trial_id: trials[trial_id] for trial_id in order}  # As they began.
        decoded(path, self.set_state, state)
        self._check_objective()
        interrupted = {trial.trial_id for trial in self.ongoing_trials.values()}
        interrupted |= set(self._retry_queue)
        self.ongoing_trials = {}
        for trial_id, trial in self.trials.items():
            if trial.status not in ENDED:
                interrupted.add(trial_id)
            elif trial_id not in self.end_order:
                self.end_order.append(trial_id)
        # Trials are taken from the end of the queue, in the order in which they began.
        self._retry_queue = [
            trial_id
            for trial_id in reversed(self.start_order)
            if trial_id in interrupted and self.trials[trial_id].status not in ENDED
        ]

    @property
    def folder(self) -> pathlib.Path:
        """Folder of the search."""
        return pathlib.Path(self._project_dir)

    def _check_objective(self) -> None:
        ended = [trial for trial in self.trials.values() if trial.status == "COMPLETED"]
        for trial, metrics in ((each, each.metrics.metrics) for each in ended):
            known = all(part.name in metrics for part in parts_of(self.objective))
            ours = metrics.get(self.objective.name)
            if not known or ours is None or ours.direction != self.objective.direction:
                directions = {name: metric.direction for name, metric in metrics.items()}
                raise ArgumentValueError.about(
                    "objective",
                    f"Argument `objective` must be that of the search in {self.folder}, among "
                    f"{shown(directions)} in trial_{trial.trial_id}/trial.json. "
                    f"Received: objective={self.objective}",
                )

    def _compute_values_hash(self, values: dict[str, Any]) -> str:
        return super()._compute_values_hash(self.identity(values))

    def _save_trial(self, trial: Any) -> None:
        path = self.folder / f"trial_{trial.trial_id}" / "trial.json"
        path.parent.mkdir(exist_ok=True)
        write_text(path, json.dumps(trial.get_state()))


class LastingTuner(keras_tuner.Tuner):
    """A tuner that continues any search in its folder and never overwrites one.

    KerasTuner looks for the tuner's own file, whose name depends on the process. If that file is
    missing, it starts a new search even if `oracle.json` holds one.
    """

    @property
    def is_worker(self) -> bool:
        """Whether the trials come from a chief."""
        return is_worker()

    @property
    def project_path(self) -> pathlib.Path:
        """Folder of the search."""
        return pathlib.Path(self.project_dir)

    def save(self) -> None:
        """Writes the state of the search, and the file by which KerasTuner knows it."""
        if not self.is_worker:
            self.oracle.save()
            write_text(self.project_path / TUNER_FILE, "{}")
        write_text(self.project_path / f"{self.tuner_id}.json", "{}")

    def reload(self) -> None:
        """Reads the state of the search."""
        if not self.is_worker:
            self.oracle.reload()

    def _populate_initial_space(self) -> None:
        if not self.is_worker and (self.project_path / ORACLE_FILE).exists():
            self.reload()
        else:
            super()._populate_initial_space()


def is_chief() -> bool:
    """Returns whether the environment makes this process KerasTuner's chief."""
    return bool(os.environ.get(ADDRESS_VARIABLE)) and "chief" in os.environ.get(ID_VARIABLE, "")


def is_worker() -> bool:
    """Returns whether the environment makes this process one of KerasTuner's workers."""
    return bool(os.environ.get(ADDRESS_VARIABLE)) and not is_chief()


def limit_waits(seconds: float) -> None:
    """Limits how long a worker waits for its chief. KerasTuner's limit is an hour."""
    from keras_tuner.src.distribute import oracle_client

    oracle_client.TIMEOUT = seconds


def add_servicer(server: Any, oracle: LastingOracle, asked: Callable[[str], None]) -> Any:
    """Adds KerasTuner's service for workers to a gRPC server.

    Args:
        server: The server.
        oracle: The search.
        asked: Called with the id of a trial whenever a worker asks about it.

    Returns:
        The servicer. Its `stop_triggered` says whether a worker has been told that no trial is
        left.
    """
    # The modules of the protocol that can be loaded depend on the version of protobuf.
    from keras_tuner.src import protos
    from keras_tuner.src.distribute import oracle_chief

    class Servicer(oracle_chief.OracleServicer):
        """KerasTuner's service, which also reports each request."""

        def CreateTrial(self, request: Any, context: Any) -> Any:
            response = super().CreateTrial(request, context)
            asked(response.trial.trial_id)
            return response

        def UpdateTrial(self, request: Any, context: Any) -> Any:
            asked(request.trial_id)
            return super().UpdateTrial(request, context)

        def GetTrial(self, request: Any, context: Any) -> Any:
            asked(request.trial_id)
            return super().GetTrial(request, context)

        def EndTrial(self, request: Any, context: Any) -> Any:
            asked(request.trial.trial_id)
            return super().EndTrial(request, context)

    servicer = Servicer(oracle)
    protos.get_service_grpc().add_OracleServicer_to_server(servicer, server)
    return servicer
