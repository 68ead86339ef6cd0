"""The layers that are measured, by name."""

from collections.abc import Callable
from typing import Any, NamedTuple

import keras

from keras_selectscale import layers

# The rates of all of them: half of the maps are candidates, half of what may go goes.
TOP_RATE = RETAINING_RATE = 0.5
NONE, KERAS_SPATIAL, COPY = "none", "keras-spatial-dropout", "copy"


class LayerSide(NamedTuple):
    """A layer that is measured.

    Attributes:
        title: What it is called in tables.
        make: Function of further arguments of the layer that gives it.
        layer: Its class.
        selects: Whether it has to read its input once more, for the score.
    """

    title: str
    make: Callable[..., keras.layers.Layer]
    layer: type[keras.layers.Layer]
    selects: bool = False


def _selective(dtype: Any, seed: int) -> keras.layers.Layer:
    drop = layers.SpatialScale(retaining_rate=RETAINING_RATE, dtype=dtype, seed=seed)
    return layers.Selective(drop, top_rate=TOP_RATE, dtype=dtype)


def _selecting(layer: type[keras.layers.Layer]) -> Callable[..., keras.layers.Layer]:
    return lambda **kwargs: layer(top_rate=TOP_RATE, retaining_rate=RETAINING_RATE, **kwargs)


def _plain(layer: type[keras.layers.Layer]) -> Callable[..., keras.layers.Layer]:
    return lambda **kwargs: layer(retaining_rate=RETAINING_RATE, **kwargs)


def _keras(layer: type[keras.layers.Layer]) -> Callable[..., keras.layers.Layer]:
    return lambda **kwargs: layer(1.0 - RETAINING_RATE, **kwargs)


_KERAS = keras.layers
SIDES: dict[str, LayerSide] = {
    KERAS_SPATIAL: LayerSide(
        "Keras' SpatialDropout2D", _keras(_KERAS.SpatialDropout2D), _KERAS.SpatialDropout2D
    ),
    "keras-dropout": LayerSide("Keras' Dropout", _keras(_KERAS.Dropout), _KERAS.Dropout),
    "dropout": LayerSide("StandardDropout", _plain(layers.StandardDropout), layers.StandardDropout),
    "spatial-dropout": LayerSide(
        "SpatialDropout", _plain(layers.SpatialDropout), layers.SpatialDropout
    ),
    "spatial-scale": LayerSide("SpatialScale", _plain(layers.SpatialScale), layers.SpatialScale),
    "selectout": LayerSide("Selectout", _selecting(layers.Selectout), layers.Selectout, True),
    "selectscale": LayerSide(
        "SelectScale", _selecting(layers.SelectScale), layers.SelectScale, True
    ),
    "selective-spatial-scale": LayerSide(
        "Selective(SpatialScale)", _selective, layers.Selective, True
    ),
}


def make_layer(name: str, *, dtype: str | None, seed: int) -> keras.layers.Layer | None:
    """Returns a layer by its name, or `None` for `"none"`.

    Args:
        name: One of `SIDES`, or `"none"`.
        dtype: Dtype or policy of the layer; `None` for the policy that is set.
        seed: Its seed.
    """
    if name == NONE:
        return None
    return SIDES[name].make(dtype=dtype, seed=seed)


def moved_bytes(name: str, tensor_bytes: int) -> int:
    """Returns the bytes that a side must move, forward and backward, whatever computes it.

    One read and one write for the product, one read and one write for its gradient, and one read
    for the score where it selects. The factor is a (height * width)-th of that and not counted.

    Args:
        name: One of `SIDES`, `"copy"` or `"none"`.
        tensor_bytes: Bytes of the input.
    """
    if name == NONE:
        return 0
    if name == COPY:
        return 2 * tensor_bytes
    return (5 if SIDES[name].selects else 4) * tensor_bytes
