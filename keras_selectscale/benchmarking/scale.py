"""Benchmarks of what grows with the work: files, trials and samples, next to the peer."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from keras_selectscale import environment
from keras_selectscale.benchmarking import data_work, predict_work, search_work
from keras_selectscale.benchmarking.result_tables import ResultTable
from keras_selectscale.checks import as_integer

LARGEST = 10**6


@dataclasses.dataclass(frozen=True)
class ScaleOptions:
    """How much a benchmark of scale measures.

    Attributes:
        files: Images of the folders that `data` opens, at least 20.
        trials: Trials of the searches of `search`, at least 2.
        samples: Samples of `predict`, at least 2.
        rounds: Measurements of each side, at least 1.
        seed: Determines images, weights and draws.

    Raises:
        TypeError: If a value is not an integer.
        ValueError: If a value is out of range.
    """

    files: int = 100_000
    trials: int = 1000
    samples: int = 30
    rounds: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        """Checks every value."""
        for name, low in (("files", 20), ("trials", 2), ("samples", 2), ("rounds", 1), ("seed", 0)):
            as_integer(name, getattr(self, name), low, LARGEST)


class Benchmark(NamedTuple):
    """A benchmark: its title, the function that measures its rows, and the sides' names."""

    title: str
    measure: Callable[[ScaleOptions, Callable[[str], Any]], Iterator[dict[str, Any]]]
    peer: str


BENCHMARKS = {
    "data": Benchmark("Images from a folder", data_work.measure, "Keras, tf.data"),
    "search": Benchmark("Searches, without training", search_work.measure, "KerasTuner"),
    "predict": Benchmark("mc_predict", predict_work.measure, "written by hand"),
}


def run_scale(name: str, options: ScaleOptions, say: Callable[[str], Any]) -> dict[str, Any]:
    """Measures a benchmark of `BENCHMARKS` and returns the results as JSON values.

    Args:
        name: Name of the benchmark.
        options: How much to measure.
        say: Called before each case with a line that describes it.

    Returns:
        The environment, and rows with what was measured, its size and unit, all values of both
        sides, and the quartiles of their ratio.
    """
    started = time.perf_counter()
    rows = list(BENCHMARKS[name].measure(options, say))
    return {
        "benchmark": name,
        "options": dataclasses.asdict(options),
        "environment": environment.describe(),
        "total_seconds": round(time.perf_counter() - started, 1),
        "rows": rows,
    }


def as_table(result: dict[str, Any]) -> ResultTable:
    """Returns the table of a result, with medians."""
    benchmark = BENCHMARKS[result["benchmark"]]
    heads = (benchmark.title, "unit", "ours", benchmark.peer, "ratio")
    return ResultTable(benchmark.title, heads, [_cells(row) for row in result["rows"]])


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    values = [row["ours"][1], row["peer"] and row["peer"][1], row["ratio"] and row["ratio"][1]]
    return (row["what"], row["unit"], *("-" if each is None else f"{each:.3g}" for each in values))
