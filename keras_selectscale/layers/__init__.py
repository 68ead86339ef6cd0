"""The drop layers.

Importing the file of a layer adds it to the registry of drop methods in `methods.py`.
"""

import types as _types

import keras as _keras  # First, because Keras imports this package when it is imported itself.

from keras_selectscale.layers.drop_block import DropBlock as DropBlock
from keras_selectscale.layers.drop_path import DropPath as DropPath
from keras_selectscale.layers.feature_drop import FeatureDrop as FeatureDrop
from keras_selectscale.layers.methods import complete_docstrings as _complete_docstrings
from keras_selectscale.layers.schedules import (
    ExponentialCurriculum as ExponentialCurriculum,
)
from keras_selectscale.layers.schedules import ScaledDropRate as ScaledDropRate
from keras_selectscale.layers.schedules import exponential_curriculum as exponential_curriculum
from keras_selectscale.layers.schedules import linear_curriculum as linear_curriculum
from keras_selectscale.layers.scores import AveragePoolScore as AveragePoolScore
from keras_selectscale.layers.select_scale import SelectScale as SelectScale
from keras_selectscale.layers.selective import Selective as Selective
from keras_selectscale.layers.selectout import Selectout as Selectout
from keras_selectscale.layers.spatial_dropout import SpatialDropout as SpatialDropout
from keras_selectscale.layers.spatial_scale import SpatialScale as SpatialScale
from keras_selectscale.layers.standard_dropout import StandardDropout as StandardDropout

_complete_docstrings()

__all__ = sorted(
    name
    for name, value in globals().items()
    if not name.startswith("_") and not isinstance(value, _types.ModuleType)
)
