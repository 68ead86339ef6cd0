"""Training runs: a recipe, its folder, and the function that trains."""

from keras_selectscale import environment
from keras_selectscale.files import DamagedFileError as DamagedRunError
from keras_selectscale.optimizers import CoupledSGD
from keras_selectscale.training.checkpoints import load_checkpoint
from keras_selectscale.training.devices import Devices
from keras_selectscale.training.model import build_model, evaluate
from keras_selectscale.training.normalization import fuse_normalization
from keras_selectscale.training.recipe import Recipe
from keras_selectscale.training.run import train
from keras_selectscale.training.run_folder import RunFolder

__all__ = [
    "CoupledSGD",
    "DamagedRunError",
    "Devices",
    "Recipe",
    "RunFolder",
    "build_model",
    "environment",
    "evaluate",
    "fuse_normalization",
    "load_checkpoint",
    "train",
]
