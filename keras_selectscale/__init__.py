"""Selective and soft dropout for Keras: the drop layers of "SelectScale" (IJCAI 2020)."""

from keras_selectscale import models
from keras_selectscale.layers import (
    FeatureDrop,
    Selective,
    Selectout,
    SelectScale,
    SpatialDropout,
    SpatialScale,
    StandardDropout,
    exponential_curriculum,
    linear_curriculum,
)
from keras_selectscale.version import __version__

__all__ = [
    "FeatureDrop",
    "SelectScale",
    "Selective",
    "Selectout",
    "SpatialDropout",
    "SpatialScale",
    "StandardDropout",
    "__version__",
    "exponential_curriculum",
    "linear_curriculum",
    "models",
]
