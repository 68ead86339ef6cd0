"""Which layers are drops, and where they are in a model."""

from collections.abc import Iterator
from typing import Any, Literal, TypeAlias

import keras

from keras_selectscale.checks import shown
from keras_selectscale.layers.feature_maps import FeatureMaps
from keras_selectscale.surgery import graph

Which: TypeAlias = Literal["all", "selectscale"]

# The spatial dropouts of Keras are subclasses of its Dropout.
KERAS_DROPS = (
    keras.layers.Dropout,
    keras.layers.GaussianDropout,
    keras.layers.GaussianNoise,
    keras.layers.AlphaDropout,
)
# The rates of drops that are not layers, in Keras' recurrent and attention layers.
INNER_RATES = ("dropout", "recurrent_dropout")


def check_which(which: str) -> None:
    """Raises a `ValueError` if `which` is neither "all" nor "selectscale"."""
    if not isinstance(which, str) or which not in ("all", "selectscale"):
        raise ValueError(
            'Argument `which` must be "all" (the drops of this package and of Keras) or '
            f'"selectscale" (those of this package). Received: which={shown(which)}'
        )


def is_drop(layer: Any, which: str = "all") -> bool:
    """Returns whether `layer` is a drop layer: one of this package or, for "all", of Keras."""
    # Every layer of this package is a drop, and so is a layer derived from one.
    if isinstance(layer, FeatureMaps):
        return True
    return which == "all" and isinstance(layer, KERAS_DROPS)


def acts(drop: Any) -> bool:
    """Returns whether a drop does something: attention holds a Dropout even at a rate of 0."""
    return getattr(drop, "rate", None) != 0


def drops_within(layer: Any, which: str, path: str) -> Iterator[str]:
    """Yields the path of each drop inside `layer`, which is not a drop itself.

    Args:
        layer: A layer or another operation of a graph.
        which: "all" or "selectscale".
        path: Path of `layer`.
    """
    if isinstance(layer, keras.Layer):
        if which == "all" and (rate := _inner_rate(layer)):
            yield f"{path} ({rate})"
        children = graph.sublayers(layer)
    else:  # A `keras.Function` holds operations, which may be layers.
        children = list(getattr(layer, "operations", []))
    for child in children:
        name = f"{path}/{getattr(child, 'name', type(child).__name__)}"
        if is_drop(child, which):
            if acts(child):
                yield f"{name} ({type(child).__name__})"
        else:
            yield from drops_within(child, which, name)


def _inner_rate(layer: keras.Layer) -> str | None:
    if not hasattr(layer, "state_size"):  # A recurrent cell, or a layer that has one.
        return None
    rates = [
        f"{name}={rate:g}"
        for name in INNER_RATES
        if isinstance(rate := getattr(layer, name, 0), (int, float)) and rate > 0
    ]
    return ", ".join(rates) or None


def all_layers(model: keras.Layer) -> Iterator[keras.Layer]:
    """Yields `model` and every layer inside, however deep, each once."""
    seen: set[int] = set()
    waiting: list[Any] = [model]
    while waiting:
        layer = waiting.pop()
        if id(layer) in seen:
            continue
        seen.add(id(layer))
        if isinstance(layer, keras.Layer):
            yield layer
            waiting += reversed(graph.sublayers(layer))
        if isinstance(layer, keras.Function):
            waiting += reversed(layer.operations)


def find_drops(model: keras.Layer, which: str = "all") -> list[keras.Layer]:
    """Returns every drop layer in `model`, including those in wrappers and in other drops."""
    return [layer for layer in all_layers(model) if is_drop(layer, which)]
