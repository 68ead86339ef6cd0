"""The callbacks with which a tuner trains a trial."""

import math
import os
import pathlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

import keras

from keras_selectscale import stopping
from keras_selectscale.console import Console
from keras_selectscale.files import remove_left
from keras_selectscale.training.logs import can_log
from keras_selectscale.tuning.drop_hyper_model import DropHyperModel
from keras_selectscale.tuning.trials.checkpoint import CHECKPOINT_FILE, StoppedTrial
from keras_selectscale.tuning.trials.log import TrialLog
from keras_selectscale.tuning.trials.objective_stopping import ObjectiveStopping

SIGN_SECONDS = 5.0
# In the folder of a trial.
WEIGHTS_FILE = "seed{seed}.weights.h5"


def trial_callbacks(
    tuner: Any, trial: Any, seed: int, *, with_stop: bool = True
) -> list[keras.callbacks.Callback]:
    """Returns the callbacks of one run of a trial.

    Args:
        tuner: The `DropTuner`.
        trial: The trial.
        seed: Seed of the run.
        with_stop: Whether a callback stops the run when told; otherwise its training does.
    """
    values = trial.hyperparameters.values
    callbacks: list[keras.callbacks.Callback] = [FiniteLoss()]
    if with_stop:
        callbacks.append(TrialStop(place(trial, seed)))
    if tuner.early_stopping is not None:
        callbacks.append(ObjectiveStopping(tuner.oracle.objective, tuner.early_stopping))
    if tuner.tensorboard and can_log():
        path = tuner.project_path / "tensorboard" / trial.trial_id / f"seed{seed}"
        callbacks.append(TrialLog(path, values, f"{trial.trial_id}/seed{seed}"))
    if tuner.listener is not None or tuner.is_worker:
        callbacks.append(LifeSign(tuner, trial, seed))
    hyperband = "tuner/epochs" in values  # It sets this value.
    if hyperband or (tuner.keep_weights and seed == 0):
        name = WEIGHTS_FILE.format(seed=seed)
        before = values.get("tuner/trial_id")
        folder = tuner.project_path / f"trial_{before}"
        # KerasTuner keeps the weights of one run, under another name.
        known = [folder / name, folder / "checkpoint.weights.h5"] if before else []
        path = tuner.project_path / f"trial_{trial.trial_id}" / name
        callbacks.append(TrialWeights(path, known))
    return callbacks


def place(trial: Any, seed: int) -> str:
    """Returns the trial and the seed for a message."""
    return f"in trial {trial.trial_id}, seed {seed}"


def stopped_trial(
    tuner: Any, trial: Any, seed: int, callbacks: Sequence[keras.callbacks.Callback]
) -> StoppedTrial | None:
    """Returns where a run on images is kept if it is stopped, or `None` if it starts again.

    Args:
        tuner: The `DropTuner`.
        trial: The trial.
        seed: Seed of the run.
        callbacks: The user's callbacks. Their states are unknown, so that a run with some starts
            again.
    """
    if callbacks or type(tuner.hypermodel).fit is not DropHyperModel.fit:
        return None
    path = pathlib.Path(tuner.get_trial_dir(trial.trial_id)) / CHECKPOINT_FILE.format(seed=seed)
    return StoppedTrial(path, place(trial, seed))


class TrialLines:
    """The listener of a `DropTuner` that has none: prints the values and the score of each trial.

    Args:
        tuner: The `DropTuner`.
    """

    def __init__(self, tuner: Any):
        self.oracle = tuner.oracle
        self.console = Console(stderr=True)
        self._began = time.monotonic()

    def on_trial_begin(self, trial: Any) -> None:
        """Prints what is tried."""
        self._began = time.monotonic()
        drawn = trial.hyperparameters.values.items()
        values = ", ".join(f"{k}={v:g}" if isinstance(v, float) else f"{k}={v}" for k, v in drawn)
        most = f" of {self.oracle.max_trials}" if self.oracle.max_trials else ""
        number = self.oracle.start_order.index(trial.trial_id) + 1
        self.console.say(f"trial {trial.trial_id} ({number}{most}): {values or 'no values'}")

    def on_epoch_end(self, trial: Any, seed: int, epoch: int) -> None:
        """Prints nothing."""

    def on_trial_end(self, trial: Any) -> None:
        """Prints the score, or why the trial failed, and the best trial so far."""
        seconds = time.monotonic() - self._began
        if trial.status == "COMPLETED":
            trial = self.oracle.trials[trial.trial_id]
            best = self.oracle.get_best_trials()[0]
            found = (
                f"{self.oracle.objective.name} {trial.score:.5g} "
                f"(best {best.score:.5g}, trial {best.trial_id})"
            )
        else:
            found = f"failed, {(trial.message or '').partition(chr(10))[0]}"
        self.console.say(f"trial {trial.trial_id}: {found}, {seconds:.1f} s")


class FiniteLoss(keras.callbacks.Callback):
    """Ends a run whose training loss is NaN or infinite, with an error.

    `keras.callbacks.TerminateOnNaN` would print a line and end the run as if it were complete.

    Raises:
        FloatingPointError: If the loss is not finite, so that the trial fails.
    """

    def __init__(self) -> None:
        super().__init__()
        self._epoch = 0

    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
        """Records the epoch."""
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        """Checks the loss."""
        loss = (logs or {}).get("loss", 0.0)
        if not math.isfinite(loss):
            raise FloatingPointError(
                f"the loss is {loss} in epoch {self._epoch + 1}: a lower learning rate may help"
            )


class TrialStop(keras.callbacks.Callback):
    """Stops a trial when told, after the step that is running.

    Args:
        where: Name of the trial for the message.

    Raises:
        KeyboardInterrupt: If Ctrl-C was pressed.
        Stopped: If SIGTERM arrived or the time limit has passed.
    """

    def __init__(self, where: str):
        super().__init__()
        self.where = where

    def on_train_batch_end(self, batch: int, logs: object = None) -> None:
        """Stops the trial."""
        stopping.check(self.where)

    def on_test_batch_end(self, batch: int, logs: object = None) -> None:
        """Stops the trial."""
        stopping.check(self.where)


class LifeSign(keras.callbacks.Callback):
    """Reports the epochs of a trial to the listener, and to the chief that its worker is alive.

    Args:
        tuner: The `DropTuner`.
        trial: The running trial.
        seed: Seed of the run.
    """

    def __init__(self, tuner: Any, trial: Any, seed: int):
        super().__init__()
        self.tuner = tuner
        self.trial = trial
        self.seed = seed
        self._given = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Gives a sign of life from time to time."""
        self._give()

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        """Gives a sign of life from time to time."""
        self._give()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Reports the epoch."""
        if self.tuner.listener is not None:
            self.tuner.listener.on_epoch_end(self.trial, self.seed, epoch)

    def _give(self) -> None:
        now = time.monotonic()
        if self.tuner.is_worker and now - self._given >= SIGN_SECONDS:
            self._given = now
            self.tuner.give_sign(self.trial)


class TrialWeights(keras.callbacks.Callback):
    """Loads weights before the first epoch and saves them after the last, with the optimizer's.

    Hyperband continues the training of a trial with them.

    Args:
        path: File to write.
        known: Files of the trial to continue; the first one that exists is read. Empty for a new
            trial.

    Raises:
        FileNotFoundError: If none of the files exists.
    """

    def __init__(self, path: pathlib.Path, known: Sequence[pathlib.Path]):
        super().__init__()
        self.path = path
        self.known = known

    def continue_from(self, first_epoch: int, rows: object) -> bool:
        """Keeps the weights of a run that was stopped."""
        self.known = ()
        return False

    def on_train_begin(self, logs: object = None) -> None:
        """Loads the weights."""
        if not self.known:
            return
        for path in self.known:
            if path.exists():
                # Keras skips the optimizer's state in the file if the variables do not exist yet.
                self.model.optimizer.build(self.model.trainable_variables)
                self.model.load_weights(path)
                return
        raise FileNotFoundError(f"{self.known[0]}, the weights to continue with, is missing")

    def on_train_end(self, logs: object = None) -> None:
        """Saves the weights."""
        # Keras requires this file ending.
        beside = self.path.with_name(f"part-{self.path.name}")
        remove_left(beside, self.path)
        self.model.save_weights(beside)
        os.replace(beside, self.path)
