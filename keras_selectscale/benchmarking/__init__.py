"""Benchmarks: layers and training steps in turns, their growth, and the machine's limit."""

from keras_selectscale.benchmarking.bench_options import BenchOptions
from keras_selectscale.benchmarking.growth_figure import draw_growth
from keras_selectscale.benchmarking.interleaving import Timings, interleaved
from keras_selectscale.benchmarking.run_bench import run_bench
from keras_selectscale.benchmarking.side_error import SideError

__all__ = [
    "BenchOptions",
    "SideError",
    "Timings",
    "draw_growth",
    "interleaved",
    "run_bench",
]
