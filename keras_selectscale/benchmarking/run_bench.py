"""Runs a benchmark on the active backend."""

import contextlib
import logging
import time
from collections.abc import Iterator
from typing import Any

import keras
from rich.progress import Progress

from keras_selectscale import environment
from keras_selectscale.benchmarking import (
    backend_modes,
    growth,
    layer_table,
    result_rows,
    step_table,
)
from keras_selectscale.benchmarking.bench_options import BenchOptions
from keras_selectscale.object_checks import as_instance


def run_bench(options: BenchOptions, progress: Progress | None = None) -> dict[str, Any]:
    """Measures on the active backend and returns the results as JSON values.

    Args:
        options: What to measure.
        progress: Shows a bar on a terminal and a line per case elsewhere.

    Returns:
        The environment, the device, all raw times by section, and the `rows` computed from them;
        `failed` lists the sides that could not be measured.

    Raises:
        NetworkError: If a network cannot be built.
    """
    started = time.perf_counter()
    sections: dict[str, Any] = {}
    rows: dict[str, Any] = {}
    as_instance("options", options, BenchOptions, "a BenchOptions")
    as_instance("progress", progress, (Progress, type(None)), "a rich.progress.Progress or None")
    with _telling(progress, _total(options)) as say, _quiet_tensorflow():
        if "steps" in options.sections:
            # First, because these processes need the device, which this one does not hold yet.
            memory = step_table.measure_memory(options, say) if options.memory else []
            steps = step_table.measure_steps(options, say)
            sections["memory"], sections["steps"] = memory, steps
            rows["steps"] = result_rows.step_rows(steps, memory)
        if "layers" in options.sections:
            sections["layers"] = layer_table.measure_layers(options, say)
            rows["layers"] = result_rows.layer_rows(sections["layers"])
        if "growth" in options.sections:
            sections["growth"] = growth.measure_growth(options, say)
            rows["growth"] = result_rows.growth_rows(sections["growth"])
    return {
        "environment": environment.describe(),
        "device": backend_modes.device_name(),
        "total_seconds": round(time.perf_counter() - started, 1),
        "failed": _failed(sections),
        "rows": rows,
        **sections,
    }


def _total(options: BenchOptions) -> int:
    steps = len(step_table.settings(options))
    memory = steps * len(step_table.sides(options)) if options.memory else 0
    counts = {
        "layers": layer_table.case_count(options),
        "steps": steps + memory,
        "growth": growth.case_count(options),
    }
    return sum(counts[section] for section in options.sections)


def _failed(sections: dict[str, Any]) -> list[str]:
    """Returns a line for each side that failed."""
    layers = sections.get("layers", {})
    cases = [
        *layers.get("copies", []),
        *layers.get("cases", []),
        *sections.get("memory", []),
        *sections.get("steps", []),
        *sections.get("growth", []),
    ]
    lines = []
    for case in cases:
        about = [
            "x".join(map(str, value)) if isinstance(value, list) else str(value)
            for name, value in case.items()
            if name in ("network", "mode", "precision", "data", "shape")
        ]
        lines += [f"{side} ({', '.join(about)}): {why}" for side, why in case["failed"].items()]
    return lines


@contextlib.contextmanager
def _telling(progress: Progress | None, total: int) -> Iterator[Any]:
    """Yields a function that announces the next case."""
    if progress is None:
        yield lambda line: None
        return
    backend = keras.backend.backend()
    task = progress.add_task(backend, total=total)
    told = 0

    def say(line: str) -> None:
        nonlocal told
        progress.update(task, completed=told, description=f"{backend}  {line}")
        if progress.disable:
            progress.console.print(
                f"{backend}  {told + 1}/{total}  {line}", highlight=False, markup=False
            )
        told += 1

    try:
        yield say
    finally:
        progress.remove_task(task)


@contextlib.contextmanager
def _quiet_tensorflow() -> Iterator[None]:
    """Suppresses TensorFlow's warnings about functions that are compiled for each case."""
    logger = logging.getLogger("tensorflow")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
