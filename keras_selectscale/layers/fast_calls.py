"""What the active backend does faster than `keras.ops`: one function, or none."""

import functools
import importlib
from collections.abc import Callable
from typing import Any

import keras

BACKENDS = ("tensorflow", "jax", "torch")


def fast_call(name: str) -> Callable[..., Any] | None:
    """Returns the function `name` of the active backend's module of calls, where it has one.

    Whoever asks has the plain version in `keras.ops`, which gives the same and takes its place.
    """
    module = _calls_of(keras.backend.backend())
    return getattr(module, name, None)


@functools.cache
def _calls_of(backend: str) -> Any:
    if backend not in BACKENDS:
        return None
    return importlib.import_module(f"keras_selectscale.layers.{backend}_calls")
