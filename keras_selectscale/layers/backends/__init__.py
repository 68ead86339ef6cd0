"""Functions of the active backend that are faster than `keras.ops`."""

import importlib
from collections.abc import Callable
from typing import Any

import keras

BACKENDS = ("tensorflow", "jax", "torch")

# Loaded once: Keras keeps its backend for the life of a process, and a lookup of a module at each
# call would break a graph of `torch.compile`.
_CALLS = (
    importlib.import_module(f"{__name__}.{keras.backend.backend()}")
    if keras.backend.backend() in BACKENDS
    else None
)


def fast_call(name: str) -> Callable[..., Any] | None:
    """Returns the function `name` of the active backend's module, or `None` if it has none.

    The caller holds the plain version in `keras.ops`, which returns the same.
    """
    return getattr(_CALLS, name, None)
