"""What TensorFlow keeps of every graph that it has traced."""

import contextlib
from collections.abc import Iterator
from typing import Any

import keras

# How TensorFlow names what `tf.custom_gradient` registers; Keras calls it in each graph.
PREFIX = "CustomGradient-"


@contextlib.contextmanager
def forgotten_gradients() -> Iterator[None]:
    """Forgets the custom gradients of the graphs that are traced within, and so the graphs.

    TensorFlow registers them for good, each with the graph that it stands in: with every model some
    20 MB would be lost. No model from within can be trained any further afterwards.
    """
    registry: dict[str, Any] = {}
    if keras.backend.backend() == "tensorflow":
        from tensorflow.python.framework import ops

        registry = getattr(ops.gradient_registry, "_registry", {})
    before = set(registry)
    try:
        yield
    finally:
        for name in set(registry) - before:
            if name.startswith(PREFIX):
                del registry[name]
