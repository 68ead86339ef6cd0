"""What makes an oracle of KerasTuner outlive a kill at any moment."""

import json
import pathlib
import warnings
from typing import Any

import keras_tuner
from keras_tuner.src.engine import trial as trial_module

from keras_selectscale.training import DamagedRunError
from keras_selectscale.training.run_folder import write_text
from keras_selectscale.tuning.rate_space import with_one_share

ENDED = ("COMPLETED", "FAILED")


class LastingOracle(keras_tuner.Oracle):
    """An oracle whose search goes on after a kill with nothing lost and no trial counted twice.

    KerasTuner writes its files in place and one after the other. Here each is written beside and
    renamed, and the order of writing is mended on reading: a trial that is in its own file alone
    had not begun, one that ended in its own file has ended, and every other one runs again under
    its id. It stands before an oracle among the bases of a class.
    """

    # KerasTuner's own, which it does not annotate.
    trials: dict[str, Any]
    ongoing_trials: dict[str, Any]
    _retry_queue: list[str]

    def save(self) -> None:
        """Writes the state of the search."""
        write_text(pathlib.Path(self._get_oracle_fname()), json.dumps(self.get_state()))

    def reload(self) -> None:
        """Reads the state of the search, and puts what was interrupted into the queue."""
        # KerasTuner's own globs the whole path, in which a `[` or `*` stands for other folders.
        folder = pathlib.Path(self._project_dir)
        for path in folder.glob("trial_*/trial.json"):
            trial = trial_module.Trial.load(str(path))
            self.trials[trial.trial_id] = trial
        try:
            self.set_state(json.loads((folder / "oracle.json").read_text(encoding="utf-8")))
        except KeyError as error:
            raise DamagedRunError(f"{folder} is damaged: it has no {error}") from error
        self._retry_queue += [trial.trial_id for trial in self.ongoing_trials.values()]
        self.ongoing_trials = {}
        for trial_id in self.start_order:
            if trial_id not in self.trials:
                raise DamagedRunError(
                    f"{self._project_dir} is damaged: it has no trial_{trial_id}/trial.json"
                )
        # Rising by start: the order of a folder's files is that of the file system.
        self.trials = {trial_id: self.trials[trial_id] for trial_id in self.start_order}
        for trial_id, trial in self.trials.items():
            ended = trial.status in ENDED
            if ended and trial_id not in self.end_order:
                self.end_order.append(trial_id)
            if not ended and trial_id not in self._retry_queue:
                self._retry_queue.append(trial_id)
        # Taken from its end: the first to be interrupted is the first to run.
        queue = {each for each in self._retry_queue if self.trials[each].status not in ENDED}
        self._retry_queue = sorted(queue, reverse=True)

    def update_trial(self, trial_id: str, metrics: Any, step: int = 0) -> Any:
        """Records the metrics of one run of a trial."""
        with warnings.catch_warnings():
            # NumPy warns of a metric that has never been a number; only the objective must be one.
            warnings.filterwarnings("ignore", "All-NaN", RuntimeWarning)
            return super().update_trial(trial_id, metrics, step)

    @keras_tuner.synchronized
    def end_trial(self, trial: Any) -> None:
        """Ends a trial, once."""
        known = self.trials[trial.trial_id]
        if known.status in ENDED and trial is not known:
            return
        # What came from a worker has been through 32-bit numbers.
        trial.hyperparameters.values.update(known.hyperparameters.values)
        super().end_trial(trial)

    def _compute_values_hash(self, values: dict[str, Any]) -> str:
        # What makes the same drop is the same point, and not drawn again.
        return super()._compute_values_hash(with_one_share(values, self.hyperparameters.space))

    def _save_trial(self, trial: Any) -> None:
        path = pathlib.Path(self._get_trial_dir(trial.trial_id)) / "trial.json"
        write_text(path, json.dumps(trial.get_state()))
