"""One run of a trial: its model, its callbacks and its metrics."""

import copy
from collections.abc import Sequence
from typing import Any

import keras
import keras_tuner

from keras_selectscale.checks import shown
from keras_selectscale.data import Dataset
from keras_selectscale.tuning.drop_hyper_model import DropHyperModel
from keras_selectscale.tuning.objective import as_metrics, check_finite
from keras_selectscale.tuning.trials.callbacks import stopped_trial, trial_callbacks
from keras_selectscale.tuning.trials.log import TrialLog


def run_seed(
    tuner: Any, trial: Any, seed: int, args: Sequence[Any], kwargs: dict[str, Any]
) -> dict[str, float]:
    """Trains a trial with one seed.

    Args:
        tuner: The `DropTuner`.
        trial: The trial.
        seed: Seed of the run.
        args: Arguments of `HyperModel.fit` after the model.
        kwargs: Keyword arguments of it.

    Returns:
        The metrics of the run.

    Raises:
        FloatingPointError: If the loss or the objective is not finite.
        keras_tuner.errors.FatalError: If the hypermodel returns something else than it should.
    """
    hp = trial.hyperparameters
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    model = tuner.hypermodel.build(hp)
    if not isinstance(model, keras.Model):
        raise keras_tuner.errors.FatalTypeError(
            f"build(hp) must return a keras.Model. Received: {shown(model)}"
        )
    own = copy.deepcopy(kwargs.pop("callbacks", []))
    images = bool(args) and isinstance(args[0], Dataset)
    images = images and isinstance(tuner.hypermodel, DropHyperModel)
    stopped = stopped_trial(tuner, trial, seed, own) if images else None
    callbacks = [*own, *trial_callbacks(tuner, trial, seed, with_stop=stopped is None)]
    if "tuner/epochs" in hp.values:  # Set by Hyperband.
        kwargs["epochs"] = hp.values["tuner/epochs"]
        kwargs["initial_epoch"] = hp.values["tuner/initial_epoch"]
    if images:
        kwargs["seed"] = seed
        kwargs["stopped_trial"] = stopped
        kwargs.pop("verbose", None)
    failed = None
    try:
        results = tuner.hypermodel.fit(hp, model, *args, callbacks=callbacks, **kwargs)
        metrics = as_metrics(results, tuner.oracle.objective, "HyperModel.fit()")
        check_finite(results, metrics, tuner.oracle.objective, seed)
        failed = False
    except Exception:
        failed = True
        raise
    finally:
        for each in callbacks:
            if isinstance(each, TrialLog):
                each.finish(failed=failed)
    return metrics
