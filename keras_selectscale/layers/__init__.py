"""The drop layers, and what they are made of."""

from keras_selectscale.layers.average_pool_score import AveragePoolScore
from keras_selectscale.layers.curriculum import exponential_curriculum, linear_curriculum
from keras_selectscale.layers.drop_block import DropBlock
from keras_selectscale.layers.drop_path import DropPath
from keras_selectscale.layers.exponential_curriculum import ExponentialCurriculum
from keras_selectscale.layers.feature_drop import FeatureDrop
from keras_selectscale.layers.scaled_drop_rate import ScaledDropRate
from keras_selectscale.layers.select_scale import SelectScale
from keras_selectscale.layers.selective import Selective
from keras_selectscale.layers.selectout import Selectout
from keras_selectscale.layers.spatial_dropout import SpatialDropout
from keras_selectscale.layers.spatial_scale import SpatialScale
from keras_selectscale.layers.standard_dropout import StandardDropout

__all__ = [
    "AveragePoolScore",
    "DropBlock",
    "DropPath",
    "ExponentialCurriculum",
    "FeatureDrop",
    "ScaledDropRate",
    "SelectScale",
    "Selective",
    "Selectout",
    "SpatialDropout",
    "SpatialScale",
    "StandardDropout",
    "exponential_curriculum",
    "linear_curriculum",
]
