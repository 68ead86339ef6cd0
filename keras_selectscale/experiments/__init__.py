"""Experiments over several runs."""

from keras_selectscale.experiments.comparison import Comparison, run_comparison
from keras_selectscale.experiments.comparison_figure import draw_comparison

__all__ = ["Comparison", "draw_comparison", "run_comparison"]
