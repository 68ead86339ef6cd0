"""A model without its drops, for a while."""

import contextlib
from collections.abc import Iterator
from typing import Any

import keras

from keras_selectscale.surgery.drop_kinds import find_drops


@contextlib.contextmanager
def drops_off(model: keras.Model) -> Iterator[None]:
    """Makes every drop layer in a model the identity within, called with `training=True` or not.

    A subclassed model may call its drops with `training=True` (Monte-Carlo dropout), and no flag
    from outside reaches them.
    """
    drops = find_drops(model)
    # `drops_active` may have put one there.
    before = [vars(drop).get("call") for drop in drops]
    for drop in drops:
        # Past Keras, which would track it.
        object.__setattr__(drop, "call", _identity)
    try:
        yield
    finally:
        for drop, call in zip(drops, before, strict=True):
            if call is None:
                object.__delattr__(drop, "call")
            else:
                object.__setattr__(drop, "call", call)


def _identity(inputs: Any, *args: Any, **kwargs: Any) -> Any:
    return inputs
