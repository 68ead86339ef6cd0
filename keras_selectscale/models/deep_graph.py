"""Functional models that are deeper than Python's recursion limit."""

import contextlib
import sys
import threading
from collections.abc import Iterator
from typing import Any

import keras

# Calls for each weighted layer of a network: normalization, activation, drop, addition, pooling.
CALLS_A_LAYER = 8
_lock = threading.Lock()
_wanted: list[int] = []
_before = 0


def deep_model(inputs: Any, outputs: Any, *, name: str | None, depth: int) -> keras.Model:
    """Returns `keras.Model(inputs, outputs, name=name)` for a network of any depth.

    Args:
        inputs: Inputs of the model.
        outputs: Outputs of the model.
        name: Name of the model.
        depth: Number of weighted layers.
    """
    with deep_graph(CALLS_A_LAYER * depth):
        return keras.Model(inputs, outputs, name=name)


@contextlib.contextmanager
def deep_graph(calls: int) -> Iterator[None]:
    """Lets Keras trace a graph of many calls.

    Keras follows a graph from its outputs to its inputs by recursion, one level for each call of
    the longest chain, and fails at Python's limit of 1,000 levels. The limit applies to the whole
    process. If several threads raise it, the highest limit holds until the last of them is done.

    Args:
        calls: Number of calls in the graph, or an upper bound.
    """
    global _before
    with _lock:
        if not _wanted:
            _before = sys.getrecursionlimit()
        _wanted.append(_before + 2 * calls)
        sys.setrecursionlimit(max(_wanted))
    try:
        yield
    finally:
        with _lock:
            _wanted.remove(_before + 2 * calls)
            # Another thread may still be deeper than this one needs.
            sys.setrecursionlimit(max(_wanted, default=_before))
