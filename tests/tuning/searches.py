"""Searches that train nothing, so that a test can afford many."""

import contextlib
import json
import os
import signal
import sys
import time

import keras
import keras_tuner
import numpy as np

from keras_selectscale.child_processes import end_with_parent
from keras_selectscale.tuning import DropTuner, drop_space

RATES = {"top_rates": (0.2, 0.5), "retaining_rates": (0.5, 0.8)}


class Killed(BaseException):
    """What a kill is in a test: nothing catches it, and nothing is written after it."""


class MadeUp(keras_tuner.HyperModel):
    """Its error is a function of the hyperparameters and the seed alone."""

    def __init__(self):
        super().__init__()
        self.fits = []

    def build(self, hp):
        drop = drop_space(hp, methods=("selectscale", "selectout", "none"), **RATES)
        model = keras.Sequential()
        model.drop = drop
        return model

    def fit(self, hp, model, *args, **kwargs):
        time.sleep(float(os.environ.get("SECONDS_A_FIT", "0")))
        # The tuner seeds NumPy.
        drawn = float(np.random.random())
        rate = 0.0 if model.drop is None else model.drop.retaining_rate
        self.fits.append((json.dumps(hp.values, sort_keys=True), drawn))
        return {"validation_error": 10 * rate + drawn}


def made_up_tuner(kind, folder, trials=4, **options):
    return DropTuner(
        MadeUp(), kind, folder, trials=trials, seeds=2, max_epochs=4, tensorboard=False, **options
    )


def trials_of(folder):
    """Every trial as its file has it."""
    found = {}
    for path in sorted(folder.glob("trial_*/trial.json")):
        trial = json.loads(path.read_text())
        observations = trial["metrics"]["metrics"]["validation_error"]["observations"]
        found[trial["trial_id"]] = (
            trial["status"],
            trial["hyperparameters"]["values"],
            [value for each in observations for value in each["value"]],
            trial["score"],
        )
    return found


@contextlib.contextmanager
def killed_at(number, real=False):
    """Ends at the n-th file that is put in its place, half of the times before, half after."""
    replace, count = os.replace, 0

    def counted(*args):
        nonlocal count
        count += 1
        if count == number and number % 2:
            _kill(real)
        replace(*args)
        if count == number:
            _kill(real)

    os.replace = counted
    try:
        yield
    finally:
        os.replace = replace


def _kill(real):
    if real:
        os.kill(os.getpid(), signal.SIGKILL)
    raise Killed


if __name__ == "__main__":
    import pathlib

    folder, point = pathlib.Path(sys.argv[1]), sys.argv[2]
    if point == "work":  # A chief or a worker.
        end_with_parent()
        made_up_tuner("random", folder, trials=5, wait_seconds=60.0).search()
    else:  # A search of every kind, killed at the n-th file.
        with killed_at(int(point), real=True):
            for each in ("random", "bayesian", "hyperband", "grid"):
                made_up_tuner(each, folder / each).search()
