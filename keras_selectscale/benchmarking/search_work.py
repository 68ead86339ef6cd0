"""Seconds per trial of searches next to KerasTuner's, with trials that train nothing."""

from __future__ import annotations

import pathlib
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

from keras_selectscale.benchmarking.summaries import compared
from keras_selectscale.environment import require

# Numbers of trials after which the time of a trial is reported, and the last trials that count.
AFTER, LAST = (10, 50, 100, 200, 500, 1000), 10
# Trials after which the progress is reported.
SAID = 50
# KerasTuner is measured up to here: its Bayesian trials take longer and longer, and the others not.
MOST_OF_PEER = {"random": 200, "bayesian": 100}


def measure(options: Any, say: Callable[[str], Any]) -> Iterator[dict[str, Any]]:
    """Yields the rows: CPU time per trial after some numbers of trials; see `scale.run_scale`.

    A trial builds a network of one layer and returns a made-up score, so that the time is that of
    the search and its files.
    """
    require("keras_tuner", "tune", "The benchmark search")
    for tuner in ("random", "bayesian"):
        peers = min(options.trials, MOST_OF_PEER[tuner])
        ours = _times(tuner, options.trials, options.seed, True, say)
        peer = _times(tuner, peers, options.seed, False, say)
        for after in sorted({each for each in AFTER if each < options.trials} | {options.trials}):
            own = _typical(ours, after)
            theirs = _typical(peer, after) if after <= peers else None
            yield compared(f"{tuner}, trial {after:,}", "CPU ms per trial", own, theirs)


def _typical(times: list[float], after: int) -> list[float]:
    """Returns the median of the last trials before a number of trials, in milliseconds."""
    return [1000 * statistics.median(times[max(0, after - LAST) : after])]


def _times(
    tuner: str, trials: int, seed: int, is_ours: bool, say: Callable[[str], Any]
) -> list[float]:
    """Returns the CPU time of each trial of a search."""
    import keras
    import keras_tuner

    from keras_selectscale.tuning import DropTuner

    what = f"search  {tuner}  {trials} trials  {'ours' if is_ours else 'KerasTuner'}"
    say(what)
    marks = [time.process_time()]

    class Scores(keras_tuner.HyperModel):
        """Returns a smooth score without training."""

        def build(self, hp):
            hp.Float("top_rate", 0.05, 1.0)
            hp.Float("retaining_rate", 0.0, 1.0)
            model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
            model.compile("sgd", "mse")
            return model

        def fit(self, hp, model, *arguments, **keywords):
            marks.append(time.process_time())
            if (done := len(marks) - 1) % SAID == 0:
                say(f"{what}  {done} done")
            return (hp.get("top_rate") - 0.3) ** 2 + (hp.get("retaining_rate") - 0.6) ** 2

    with tempfile.TemporaryDirectory() as place:
        folder = pathlib.Path(place) / "search"
        if is_ours:
            objective = keras_tuner.Objective("score", "min")
            searched: Any = DropTuner(
                Scores(), tuner, folder, trials=trials, objective=objective, seed=seed + 1
            )
        else:
            kind = {"random": "RandomSearch", "bayesian": "BayesianOptimization"}[tuner]
            searched = getattr(keras_tuner, kind)(
                Scores(), max_trials=trials, directory=folder, project_name="peer", seed=seed
            )
        searched.search(verbose=0)
    return [after - before for before, after in zip(marks, marks[1:], strict=False)]
