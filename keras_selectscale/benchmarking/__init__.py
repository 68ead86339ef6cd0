"""Benchmarks: layers and training steps in turns, their growth, and the machine's limit."""

from keras_selectscale.benchmarking.bench_options import BenchOptions
from keras_selectscale.benchmarking.interleaving import Timings, interleaved
from keras_selectscale.benchmarking.side_error import SideError

__all__ = ["BenchOptions", "SideError", "Timings", "interleaved"]
