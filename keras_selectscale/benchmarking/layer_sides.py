"""The layers that a benchmark measures: every registered drop method and its peers in Keras."""

from collections.abc import Callable
from typing import Any, NamedTuple

import keras

from keras_selectscale import layers
from keras_selectscale.layers.methods import METHODS, Method

# Half of the maps are candidates, and half of what may be dropped is dropped.
RATES = {"top_rate": 0.5, "retaining_rate": 0.5}
NONE, KERAS_SPATIAL, COPY = "none", "keras-spatial-dropout", "copy"
KERAS_NORMALIZATION = "keras-normalization"
PYTORCH, PYTORCH_DROP = "pytorch", "pytorch-dropout2d"
PYTORCH_COMPILED, PYTORCH_DROP_COMPILED = "pytorch-compiled", "pytorch-dropout2d-compiled"
# The same network in plain PyTorch, with the arguments of `plain_pytorch.step_work`.
PYTORCH_SIDES = {
    PYTORCH: {"drop": False, "compiled": False},
    PYTORCH_DROP: {"drop": True, "compiled": False},
    PYTORCH_COMPILED: {"drop": False, "compiled": True},
    PYTORCH_DROP_COMPILED: {"drop": True, "compiled": True},
}
FIT, TRAIN = "fit", "train"
# What only a training step is compared with, and its title.
STEP_SIDES = {
    FIT: "no drop, whole loop",
    TRAIN: "no drop, whole loop with checkpoints, logs, progress",
    KERAS_NORMALIZATION: "no drop, Keras' normalization",
    PYTORCH: "plain PyTorch, no drop",
    PYTORCH_DROP: "plain PyTorch, nn.Dropout2d",
    PYTORCH_COMPILED: "plain PyTorch, no drop, torch.compile",
    PYTORCH_DROP_COMPILED: "plain PyTorch, nn.Dropout2d, torch.compile",
}


class LayerSide(NamedTuple):
    """A layer that is measured.

    Attributes:
        title: Its name in tables.
        make: Function that returns the layer, called with `dtype` and `seed`.
        layer: Its class.
        selects: Whether it reads its input once more, for the score.
    """

    title: str
    make: Callable[..., keras.layers.Layer]
    layer: type[keras.layers.Layer]
    selects: bool = False


def _of_method(method: Method) -> LayerSide:
    rates = {name: rate for name, rate in RATES.items() if method.takes(name)}
    return LayerSide(
        method.layer.__name__,
        lambda **kwargs: method.layer(**rates, **kwargs),
        method.layer,
        method.takes("top_rate"),
    )


def _of_keras(layer: type[keras.layers.Layer]) -> LayerSide:
    rate = 1.0 - RATES["retaining_rate"]
    return LayerSide(f"Keras' {layer.__name__}", lambda **kwargs: layer(rate, **kwargs), layer)


def _selective(dtype: Any, seed: int) -> keras.layers.Layer:
    drop = layers.SpatialScale(retaining_rate=RATES["retaining_rate"], dtype=dtype, seed=seed)
    return layers.Selective(drop, top_rate=RATES["top_rate"], dtype=dtype)


SIDES: dict[str, LayerSide] = {
    KERAS_SPATIAL: _of_keras(keras.layers.SpatialDropout2D),
    "keras-dropout": _of_keras(keras.layers.Dropout),
    **{name: _of_method(method) for name, method in METHODS.items() if method.layer is not None},
    "selective-spatial-scale": LayerSide(
        "Selective(SpatialScale)", _selective, layers.Selective, True
    ),
}


def make_layer(name: str, *, dtype: str | None, seed: int) -> keras.layers.Layer | None:
    """Returns the layer of a side, or `None` for `"none"`.

    Args:
        name: One of `SIDES`, or `"none"`.
        dtype: Dtype or policy of the layer; `None` for the current policy.
        seed: Its seed.
    """
    if name == NONE:
        return None
    return SIDES[name].make(dtype=dtype, seed=seed)


def moved_bytes(name: str, tensor_bytes: int) -> int:
    """Returns the bytes that a side must move, forward and backward, on any machine.

    That is one read and one write for the product, one read and one write for its gradient, and one
    read for the score if the layer selects. The factor is not counted.

    Args:
        name: One of `SIDES`, `"copy"` or `"none"`.
        tensor_bytes: Bytes of the input.
    """
    if name == NONE:
        return 0
    if name == COPY:
        return 2 * tensor_bytes
    return (5 if SIDES[name].selects else 4) * tensor_bytes
