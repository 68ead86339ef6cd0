"""Benchmarks of layers and training steps, measured in turns with their peers."""

from keras_selectscale.benchmarking.bench_options import BenchOptions
from keras_selectscale.benchmarking.growth_figure import draw_growth
from keras_selectscale.benchmarking.interleaving import SideError, Timings, interleaved
from keras_selectscale.benchmarking.run_bench import run_bench

__all__ = [
    "BenchOptions",
    "SideError",
    "Timings",
    "draw_growth",
    "interleaved",
    "run_bench",
]
