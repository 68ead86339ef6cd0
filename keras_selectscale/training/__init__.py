"""Training runs: a recipe, its folder, and the function that trains."""

from keras_selectscale.training.coupled_sgd import CoupledSGD
from keras_selectscale.training.damaged_run_error import DamagedRunError
from keras_selectscale.training.fit import build_model, evaluate, load_checkpoint, train
from keras_selectscale.training.recipe import Recipe
from keras_selectscale.training.run_folder import RunFolder

__all__ = [
    "CoupledSGD",
    "DamagedRunError",
    "Recipe",
    "RunFolder",
    "build_model",
    "evaluate",
    "load_checkpoint",
    "train",
]
