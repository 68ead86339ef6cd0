"""Experiments over several runs."""

from keras_selectscale.experiments.comparison import Comparison, run_comparison
from keras_selectscale.experiments.comparison_figure import draw_comparison
from keras_selectscale.experiments.reproduction import Reproduction, run_reproduction

__all__ = [
    "Comparison",
    "Reproduction",
    "draw_comparison",
    "run_comparison",
    "run_reproduction",
]
