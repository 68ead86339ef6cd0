"""Times and memory of training steps, relative to no drop and to Keras' SpatialDropout2D."""

import itertools
import pathlib
import statistics
import subprocess
from collections.abc import Callable
from typing import Any

from keras_selectscale.benchmarking import backend_modes, plain_pytorch
from keras_selectscale.benchmarking.bench_options import BenchOptions
from keras_selectscale.benchmarking.interleaving import measure_case
from keras_selectscale.benchmarking.layer_sides import (
    FIT,
    KERAS_NORMALIZATION,
    KERAS_SPATIAL,
    NONE,
    PYTORCH_SIDES,
    STEP_SIDES,
    TRAIN,
)
from keras_selectscale.benchmarking.layer_work import Work
from keras_selectscale.benchmarking.loop_work import STEPS, LoopWork
from keras_selectscale.benchmarking.peak_memory import peak_memory
from keras_selectscale.benchmarking.step_work import make_batch, make_network, step_work
from keras_selectscale.training import profiling
from keras_selectscale.training.profiling import TRACED_STEPS

Say = Callable[[str], Any]
# Processes per side: the reading varies by some percent from process to process.
PROCESSES = 3


def measure_memory(options: BenchOptions, say: Say) -> list[dict[str, Any]]:
    """Measures the peak memory of each network's step; the device must not be in use yet.

    Returns:
        For each network and drop, the medians of the results of `peak_memory` in several processes,
        with each result under `processes`, or the reason for a failure.

    Raises:
        NetworkError: If a network cannot be built.
    """
    measured = []
    for about in settings(options):
        for side in sides(options):
            say(f"memory  {about['network']}  {about['mode']}  {about['precision']}  {side}")
            wanted: dict[str, Any] = {
                "batch_size": options.batch_size,
                "seed": options.seed,
                **about,
            }
            try:
                processes = [
                    peak_memory(drop=side, **wanted) for _ in range(min(PROCESSES, options.rounds))
                ]
                found = {"failed": {}, **_medians(processes), "processes": processes}
            except (OSError, subprocess.TimeoutExpired) as error:
                found = {"failed": {side: str(error)}}
            measured.append({**about, "side": side, **found})
    return measured


def _medians(processes: list[dict[str, Any]]) -> dict[str, Any]:
    """Returns the median of each number that `peak_memory` returned in several processes."""
    found = dict(processes[0])
    for name in ("peak", "before", "step"):
        values = [process[name] for process in processes]
        found[name] = None if None in values else round(statistics.median(values))
    return found


def measure_steps(options: BenchOptions, say: Say) -> list[dict[str, Any]]:
    """Measures the training step of each network, in each mode of the active backend.

    Args:
        options: What to measure.
        say: Called before each case with a line that describes it.

    Returns:
        The cases with every raw time.

    Raises:
        NetworkError: If a network cannot be built.
    """
    cases = []
    for about in settings(options):
        say(f"steps  {about['network']}  {about['mode']}  {about['precision']}")
        work = {side: _work(side, options, about) for side in timed_sides(options, about)}
        try:
            measured = measure_case(work, rounds=options.rounds, seconds=options.seconds)
            if options.profile is not None:
                _profile(work, measured, pathlib.Path(options.profile) / "_".join(about.values()))
        finally:
            for loop in work.values():
                if isinstance(loop, LoopWork):
                    loop.close()
        _per_step(work, measured)
        cases.append({**about, "batch_size": options.batch_size, **measured})
    return cases


def _per_step(work: dict[str, Work], measured: dict[str, Any]) -> None:
    """Divides the times of whole loops, whose calls take several steps."""
    for side, seconds in measured["seconds"].items():
        if isinstance(work[side], LoopWork):
            measured["seconds"][side] = [each / STEPS for each in seconds]
            measured["calls"][side] *= STEPS


def _profile(work: dict[str, Work], measured: dict[str, Any], folder: pathlib.Path) -> None:
    """Writes a trace of each side."""
    for side in measured["seconds"]:
        with profiling.trace(folder / side):
            for _ in range(1 if isinstance(work[side], LoopWork) else TRACED_STEPS):
                result = work[side]()
            backend_modes.wait(result)


def _work(side: str, options: BenchOptions, about: dict[str, str]) -> Work:
    """Returns the training step of a side."""
    precision = about["precision"]
    if side in PYTORCH_SIDES:
        return plain_pytorch.step_work(
            about["network"],
            options.batch_size,
            precision=precision,
            seed=options.seed,
            **PYTORCH_SIDES[side],
        )
    model = make_network(
        about["network"],
        NONE if side in STEP_SIDES else side,
        mode=about["mode"],
        precision=precision,
        seed=options.seed,
        # `fit` does it for the whole loop.
        fused_normalization=side not in (KERAS_NORMALIZATION, FIT, TRAIN),
    )
    if side in (FIT, TRAIN):
        return LoopWork(model, options.batch_size, options.seed, callbacks=side == TRAIN)
    return step_work(model, make_batch(model, options.batch_size, options.seed))


def settings(options: BenchOptions) -> list[dict[str, str]]:
    """Returns network, mode and precision of each case."""
    return [
        {"network": network, "mode": mode, "precision": precision}
        for network, mode, precision in itertools.product(
            options.networks, options.modes_here("steps"), options.precisions
        )
    ]


def sides(options: BenchOptions) -> list[str]:
    """Returns the names of the drops whose memory is measured."""
    return [side for side in _all_sides(options) if side not in STEP_SIDES]


def timed_sides(options: BenchOptions, about: dict[str, str]) -> list[str]:
    """Returns the names of the sides that are measured in turns."""
    peers = plain_pytorch.is_available(about["network"], about["precision"])
    return [side for side in _all_sides(options) if peers or side not in PYTORCH_SIDES]


def _all_sides(options: BenchOptions) -> list[str]:
    return list(dict.fromkeys((NONE, KERAS_SPATIAL, *options.step_methods)))
