"""A model without its drops, for a while."""

import contextlib
from collections.abc import Iterator
from typing import Any

import keras

from keras_selectscale.surgery.drop_kinds import INNER_RATES, all_layers, is_drop

_ABSENT = object()


@contextlib.contextmanager
def drops_off(model: keras.Model) -> Iterator[None]:
    """Makes every drop in a model the identity within, called with `training=True` or not.

    A subclassed model may call its drops with `training=True` (Monte-Carlo dropout), and no flag
    from outside reaches them. Recurrent cells draw their masks in inference too, and leave them
    unused.
    """
    changes: list[tuple[keras.Layer, str, Any]] = []
    for layer in all_layers(model):
        if is_drop(layer):
            changes.append((layer, "call", _identity))
        elif hasattr(layer, "get_dropout_mask"):
            changes += [(layer, name, 0.0) for name in INNER_RATES if hasattr(layer, name)]
    # `drops_active` may have put a call there.
    before = [vars(layer).get(name, _ABSENT) for layer, name, _ in changes]
    for layer, name, value in changes:
        # Past Keras, which would track it.
        object.__setattr__(layer, name, value)
    try:
        yield
    finally:
        for (layer, name, _), value in zip(changes, before, strict=True):
            if value is _ABSENT:
                object.__delattr__(layer, name)
            else:
                object.__setattr__(layer, name, value)


def _identity(inputs: Any, *args: Any, **kwargs: Any) -> Any:
    return inputs
