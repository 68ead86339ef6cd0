"""A KerasTuner tuner over several seeds that resumes after a kill."""

import contextlib
import gc
import os
import pathlib
import time
from typing import Any

import keras
import keras_tuner

from keras_selectscale import stopping
from keras_selectscale.argument_names import named_attributes
from keras_selectscale.checks import as_number
from keras_selectscale.object_checks import as_boolean, as_path, as_positive_integer
from keras_selectscale.training.model import released_models
from keras_selectscale.tuning.kerastuner import LastingTuner, is_chief, limit_waits
from keras_selectscale.tuning.objective import check_objective, is_hopeless
from keras_selectscale.tuning.oracles import make_oracle
from keras_selectscale.tuning.state import FAILURE_FILE, check_deaths, record_failure
from keras_selectscale.tuning.trials.callbacks import WEIGHTS_FILE, TrialLines, place
from keras_selectscale.tuning.trials.checkpoint import CHECKPOINT_FILE
from keras_selectscale.tuning.trials.run import run_seed
from keras_selectscale.tuning.tuner_checks import (
    check_hypermodel,
    check_listener,
    check_prune_margin,
)
from keras_selectscale.tuning.workers import MOST_DEATHS, answered, quiet, serve
from keras_selectscale.wording import counted

WAIT_SECONDS = 600.0
# Pause before a worker without work asks again.
IDLE_SECONDS = 0.5


@named_attributes
class DropTuner(LastingTuner):
    """Random, Bayesian, Hyperband or grid search over the mean of several seeds.

    Each trial trains once with each seed, 0 to n - 1. The trial's metrics hold the result of every
    seed, and their mean is the score. If a search is killed, even with `kill -9`, the same call
    resumes it: ended trials stay ended, and a trial that was running runs again under its id,
    without the seeds that are done. A trial that fails (a loss that is not finite, out of memory or
    any other exception) is recorded as failed with its reason, and the search continues.

    If `KERASTUNER_TUNER_ID`, `KERASTUNER_ORACLE_IP` and `KERASTUNER_ORACLE_PORT` are set in the
    environment, the tuner is KerasTuner's chief or one of its workers.

    Args:
        hypermodel: A `DropHyperModel`, or a custom `keras_tuner.HyperModel` or `build(hp)`.
        tuner: `"random"`, `"bayesian"`, `"hyperband"` or `"grid"`.
        directory: Folder of the search. An existing search in it is continued.
        trials: Maximum number of trials; `None` for all points of a grid or a sweep of Hyperband.
        objective: Name of a metric, a `keras_tuner.Objective`, or a list of these; those with the
            direction "max" are subtracted from the sum of the others. `None` stands for the
            `validation_error` that a `DropHyperModel` returns for images.
        seeds: Runs of each trial, at least 1.
        max_epochs: Epochs of a trial that Hyperband trains to the end. The other tuners use the
            argument `epochs` of `search`.
        early_stopping: Epochs without a better objective after which a run ends, or `None`.
        figure4: Whether to restrict a grid to the two curves of the paper's Figure 4.
        prune_margin: A trial whose first seed is worse than the best trial's score by more than
            this is not trained with its other seeds. `None` trains all; not for Hyperband.
        seed: Determines the random points, at least 1.
        wait_seconds: How long a chief and its workers wait for each other.
        tensorboard: Whether to write logs to `directory/tensorboard`, if TensorBoard is installed.
        keep_weights: Whether to keep the weights of each trial's first seed after its last epoch,
            which `get_best_models` loads. Hyperband always keeps them, to continue trials.
        listener: Object that is notified of progress, such as a `SearchDisplay`, with the methods
            `on_trial_begin(trial)`, `on_epoch_end(trial, seed, epoch)` and `on_trial_end(trial)`,
            and for a chief `refresh()`. `None` prints two lines per trial, unless `verbose=0`.

    Raises:
        ValueError: If an argument is out of range, or the search space is infeasible.
    """

    def __init__(
        self,
        hypermodel: Any,
        tuner: str,
        directory: str | os.PathLike,
        *,
        trials: int | None = None,
        objective: Any = None,
        seeds: int = 1,
        max_epochs: int = 100,
        early_stopping: int | None = None,
        figure4: bool = False,
        prune_margin: float | None = None,
        seed: int = 1,
        wait_seconds: float = WAIT_SECONDS,
        tensorboard: bool = True,
        keep_weights: bool = False,
        listener: Any = None,
    ):
        check_hypermodel(hypermodel)
        counts = {"seeds": seeds, "seed": seed, "max_epochs": max_epochs}
        may_be_none = {"trials": trials, "early_stopping": early_stopping}
        counts |= {name: value for name, value in may_be_none.items() if value is not None}
        for name, value in counts.items():
            as_positive_integer(name, value, 2**31 - 1)
        self.wait_seconds = as_number("wait_seconds", wait_seconds, 0, above=True)
        as_boolean("figure4", figure4)
        path = as_path("directory", directory).resolve()
        oracle = make_oracle(
            tuner,
            objective=check_objective(objective),
            trials=trials,
            seed=seed,
            max_epochs=max_epochs,
            figure4=figure4,
        )
        self.seeds = seeds
        self.prune_margin = check_prune_margin(prune_margin, tuner, seeds)
        self.early_stopping = early_stopping
        self.tensorboard = as_boolean("tensorboard", tensorboard)
        self.keep_weights = as_boolean("keep_weights", keep_weights)
        self.listener = check_listener(listener)
        path.mkdir(parents=True, exist_ok=True)
        # KerasTuner prints to standard output that it reloads a tuner.
        with quiet():
            super().__init__(
                oracle=oracle,
                hypermodel=hypermodel,
                directory=str(path.parent),
                project_name=path.name,
            )
        if self.is_worker:
            limit_waits(wait_seconds)
        else:
            # KerasTuner saves only after the first trial; a kill before that would start again.
            self.save()

    def search(self, *fit_args: Any, **fit_kwargs: Any) -> None:
        """Runs the remaining trials; a chief hands them to its workers instead.

        Args:
            *fit_args: Arguments of `hypermodel.fit` after the model, such as images from
                `data.validation_split`, or `x` and `y`.
            **fit_kwargs: Keyword arguments of it, such as `validation_data` and `callbacks`.

        The first Ctrl-C or SIGTERM stops a trial after the step that is running. Called again, the
        search continues with this trial and seed: after this step with images, a `DropHyperModel`
        and no `callbacks`, and at its first step otherwise.

        Raises:
            KeyboardInterrupt: If Ctrl-C was pressed.
            Stopped: If SIGTERM arrived or the time limit has passed (see `stopping`).
            TimeoutError: If a chief or a worker waited for the other for too long.
        """
        if is_chief():
            serve(self.oracle, self.wait_seconds, getattr(self.listener, "refresh", None))
            return
        self.on_search_begin()
        if self.listener is None and fit_kwargs.get("verbose", 1) and not self.is_worker:
            self.listener = TrialLines(self)
        # Without the existing objects, a garbage collection takes milliseconds instead of half a
        # second, and every run does one.
        gc.collect()
        gc.freeze()
        try:
            self._search(*fit_args, **fit_kwargs)
        finally:
            gc.unfreeze()
        self.on_search_end()

    def run_trial(self, trial: Any, *args: Any, seed: int = 0, **kwargs: Any) -> dict[str, float]:
        """Trains a trial once, with one seed, and returns its metrics."""
        return run_seed(self, trial, seed, args, kwargs)

    def give_sign(self, trial: Any) -> None:
        """Tells the chief that a trial is still running."""
        with self._limited("an answer"):
            self.oracle.get_trial(trial.trial_id)

    def on_trial_begin(self, trial: Any) -> None:
        """Notifies the listener."""
        super().on_trial_begin(trial)
        if self.listener is not None:
            self.listener.on_trial_begin(trial)

    def on_trial_end(self, trial: Any) -> None:
        """Ends the trial and notifies the listener."""
        super().on_trial_end(trial)
        if self.listener is not None:
            self.listener.on_trial_end(trial)

    def load_model(self, trial: Any) -> keras.Model:
        """Returns a trial's model with the weights of its first seed, for `get_best_models`.

        Raises:
            NotImplementedError: If the weights were not kept.
        """
        path = pathlib.Path(self.get_trial_dir(trial.trial_id)) / WEIGHTS_FILE.format(seed=0)
        if not path.exists():
            raise NotImplementedError(
                "This search keeps no models: pass keep_weights=True to the tuner, or train the "
                "best hyperparameters, which get_best_hyperparameters() returns, on all images"
            )
        model = self.hypermodel.build(trial.hyperparameters)
        if model.optimizer is not None:  # Its state is in the file.
            model.optimizer.build(model.trainable_variables)
        model.load_weights(path)
        return model

    def _search(self, *fit_args: Any, **fit_kwargs: Any) -> None:
        first = True
        while True:
            # The oracle of a worker is that of the chief, and has no such list.
            ended = [] if self.is_worker else self.oracle.end_order
            # A search within a time limit trains something, however short the limit.
            if not first or stopping.received() is not None:
                stopping.check("" if self.is_worker else f"after {counted(len(ended), 'trial')}")
            with self._limited("a trial"):
                trial = self.oracle.create_trial(self.tuner_id)
            if trial.status == "STOPPED":
                return
            if trial.status == "IDLE":
                time.sleep(IDLE_SECONDS)
                continue
            self.on_trial_begin(trial)
            self._run(trial, *fit_args, **fit_kwargs)
            with self._limited(f"the end of trial {trial.trial_id} to be taken"):
                self.on_trial_end(trial)
            if first:  # It has imported everything that training needs.
                gc.freeze()
                first = False

    def _run_seeds(self, trial: Any, *args: Any, **kwargs: Any) -> None:
        name = self.oracle.objective.name
        results: list[float] = []
        if trial.metrics.exists(name):
            results = [value for each in trial.metrics.get_history(name) for value in each.value]
        first = len(results)
        for seed in range(first, self.seeds):
            if seed > first:
                stopping.check(place(trial, seed))
            if results and self.prune_margin is not None:
                with self._limited("the best trial"):
                    (best,) = self.oracle.get_best_trials(1)
                if is_hopeless(self.oracle.objective, results[0], best, self.prune_margin):
                    return
            metrics = self.run_trial(trial, *args, seed=seed, **kwargs)
            # One observation per seed: KerasTuner keeps them all and scores by their mean.
            with self._limited(f"seed {seed} of trial {trial.trial_id} to be taken"):
                self.oracle.update_trial(trial.trial_id, metrics)
            results.append(metrics[name])

    def _run(self, trial: Any, *args: Any, **kwargs: Any) -> None:
        folder = pathlib.Path(self.get_trial_dir(trial.trial_id))
        (folder / FAILURE_FILE).unlink(missing_ok=True)
        with released_models():
            try:
                check_deaths(folder, MOST_DEATHS)
                self._run_seeds(trial, *args, **kwargs)
                trial.status = "COMPLETED"
            except (keras_tuner.errors.FatalError, TimeoutError):
                raise
            except Exception as error:
                trial.status, trial.message = "FAILED", record_failure(folder, error)
        for path in folder.glob(CHECKPOINT_FILE.format(seed="*")):
            path.unlink()

    def _limited(self, awaited: str) -> contextlib.AbstractContextManager[None]:
        if not self.is_worker:
            return contextlib.nullcontext()
        return answered(awaited, self.wait_seconds)
