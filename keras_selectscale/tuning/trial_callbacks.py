"""The callbacks with which a tuner trains a trial."""

from typing import Any

import keras

from keras_selectscale.tuning.finite_loss import FiniteLoss
from keras_selectscale.tuning.life_sign import LifeSign
from keras_selectscale.tuning.objective import ObjectiveStopping
from keras_selectscale.tuning.trial_log import TrialLog
from keras_selectscale.tuning.trial_weights import TrialWeights


def trial_callbacks(tuner: Any, trial: Any, seed: int) -> list[keras.callbacks.Callback]:
    """Returns the callbacks of one run of a trial.

    Args:
        tuner: The `DropTuner`.
        trial: The trial.
        seed: Of the run.
    """
    values = trial.hyperparameters.values
    callbacks: list[keras.callbacks.Callback] = [FiniteLoss()]
    if tuner.early_stopping is not None:
        callbacks.append(ObjectiveStopping(tuner.oracle.objective, tuner.early_stopping))
    if tuner.tensorboard:
        path = tuner.project_path / "tensorboard" / trial.trial_id / f"seed{seed}"
        callbacks.append(TrialLog(path, trial.hyperparameters, f"{trial.trial_id}/seed{seed}"))
    if tuner.listener is not None or tuner.is_worker:
        callbacks.append(LifeSign(tuner, trial, seed))
    if "tuner/epochs" in values:  # Hyperband's.
        name = f"seed{seed}.weights.h5"
        before = values.get("tuner/trial_id")
        callbacks.append(
            TrialWeights(
                tuner.project_path / f"trial_{trial.trial_id}" / name,
                tuner.project_path / f"trial_{before}" / name if before else None,
            )
        )
    return callbacks
