"""The search for top rate and retaining rate, with KerasTuner."""

from keras_selectscale.environment import require

require("keras_tuner", "tune", "A search")

from keras_selectscale.tuning.drop_hyper_model import DropHyperModel
from keras_selectscale.tuning.drop_tuner import DropTuner
from keras_selectscale.tuning.report import SearchDisplay, make_report, train_winner
from keras_selectscale.tuning.search import Search, load_for_search, load_for_winner, run_search
from keras_selectscale.tuning.search_folder import SearchFolder
from keras_selectscale.tuning.space import RateSpace, drop_space
from keras_selectscale.tuning.workers import run_workers

__all__ = [
    "DropHyperModel",
    "DropTuner",
    "RateSpace",
    "Search",
    "SearchDisplay",
    "SearchFolder",
    "drop_space",
    "load_for_search",
    "load_for_winner",
    "make_report",
    "run_search",
    "run_workers",
    "train_winner",
]
