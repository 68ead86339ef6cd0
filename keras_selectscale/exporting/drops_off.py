"""A model without its drops, for a while."""

import contextlib
from collections.abc import Iterator
from typing import Any

import keras

from keras_selectscale.layers.feature_maps import FeatureMaps

DROPS = (
    FeatureMaps,
    keras.layers.Dropout,
    keras.layers.SpatialDropout1D,
    keras.layers.SpatialDropout2D,
    keras.layers.SpatialDropout3D,
    keras.layers.GaussianDropout,
    keras.layers.GaussianNoise,
    keras.layers.AlphaDropout,
)


def drops_in(model: keras.Model) -> list[keras.layers.Layer]:
    """Returns the drop layers of this package and of Keras in a model, wherever they are nested."""
    return [layer for layer in model._flatten_layers() if isinstance(layer, DROPS)]


@contextlib.contextmanager
def drops_off(model: keras.Model) -> Iterator[None]:
    """Makes every drop layer of a model the identity within, called with `training=True` or not.

    A subclassed model may call its drops with `training=True` (Monte-Carlo dropout), and no flag
    from outside reaches them.
    """
    drops = drops_in(model)
    for drop in drops:
        # Past Keras, which would track it.
        object.__setattr__(drop, "call", _identity)
    try:
        yield
    finally:
        for drop in drops:
            object.__delattr__(drop, "call")


def _identity(inputs: Any, *args: Any, **kwargs: Any) -> Any:
    return inputs
