"""Copies layers and operations with all of their state."""

import contextlib
import tempfile
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from keras_selectscale.models.dtype_policy import dtype_policy
from keras_selectscale.models.remake import remake
from keras_selectscale.surgery import graph
from keras_selectscale.surgery.variables import (
    REUSE,
    before_calibration,
    follow_changes,
    variable_pairs,
)

# Floating-point policies other than float32.
OTHER_FLOATS = ("mixed_bfloat16", "mixed_float16", "bfloat16", "float16", "float64")


def not_copied(operation: Any, why: str, error: Exception) -> ValueError:
    """Returns the error for an operation whose copy differs from it."""
    return ValueError(
        f"The layer {operation.name!r} (of type {type(operation).__name__}) cannot be copied: "
        f"{why}. {REUSE} {type(error).__name__}: {' '.join(str(error).split())}"
    )


def copy_operation(operation: Any, dtype: str | None = None) -> Any:
    """Returns a copy that has not been called.

    Args:
        operation: A layer, or another operation of a graph.
        dtype: Dtype policy of the copy and of every layer inside; `None` keeps the original's.

    Raises:
        ValueError: If a layer cannot be made from its own config.
    """
    if not isinstance(operation, keras.Layer):
        # It has no state, and `copy.copy` would save it to a file and load it.
        twin = object.__new__(type(operation))
        twin.__dict__.update(vars(operation), _inbound_nodes=[], _outbound_nodes=[])
        return twin

    def change(config: dict[str, Any]) -> dict[str, Any]:
        config = before_calibration(operation, config)
        return config if dtype is None else _told(config, dtype)

    try:
        with policy_of(operation, dtype):
            return remake(operation, change)
    except ValueError as error:
        raise ValueError(f"{error} {REUSE}") from error


@contextlib.contextmanager
def policy_of(operation: Any, dtype: str | None) -> Iterator[None]:
    """Applies the original layer's dtype policy while a custom layer creates its sublayers.

    Args:
        operation: The original.
        dtype: Dtype policy of the copy; `None` keeps the original's.
    """
    policy: Any = dtype or getattr(operation, "dtype_policy", None)
    if not dtype and not (
        type(policy) is keras.DTypePolicy and keras.backend.is_float_dtype(policy.compute_dtype)
    ):
        yield
        return
    with dtype_policy(policy):
        yield


def _told(config: Any, dtype: str) -> Any:
    """Returns a config in which every floating-point policy other than float32 is replaced.

    The policies of integer and string layers, such as a lookup, and of quantized layers are kept.
    """
    if isinstance(config, list | tuple):
        return type(config)(_told(entry, dtype) for entry in config)
    if not isinstance(config, dict):
        return config
    told = {key: _told(value, dtype) for key, value in config.items()}
    policy = told.get("dtype")
    name = policy["config"].get("name") if isinstance(policy, dict) else policy
    return {**told, "dtype": dtype} if name in OTHER_FLOATS else told


def copy_state(original: keras.Layer, twin: keras.Layer) -> None:
    """Gives `twin` the values of all variables of `original`, random states included.

    Raises:
        ValueError: If their variables differ in number or shape.
    """
    follow_changes(original, twin)
    for source, target in variable_pairs(original, twin):
        # A copy of the value: on JAX a shared array is deleted once a step has donated it.
        target.assign(np.array(keras.ops.convert_to_numpy(source.value)))
    pairs = graph.layer_pairs(original, twin)
    # A layer that wraps a lookup loads the vocabulary, which needs the weights of its words.
    for one, other in pairs:
        if hasattr(one, "idf_weights_const"):
            store: dict[str, Any] = {}
            one.save_own_variables(store)
            other.load_own_variables(store)
    for one, other in pairs:
        _copy_other_state(one, other)


def kept_states(layer: keras.Layer) -> list[Any]:
    """Returns the states of a stateful recurrent layer, which Keras leaves out of `variables`."""
    if not getattr(layer, "stateful", False):
        return []
    return keras.tree.flatten(getattr(layer, "states", None) or [])


def _copy_other_state(original: keras.Layer, twin: keras.Layer) -> None:
    for source, target in zip(kept_states(original), kept_states(twin), strict=False):
        target.assign(np.array(keras.ops.convert_to_numpy(source.value)))
    if isinstance(original, keras.layers.Discretization):
        # `finalize_state` would compute the bins from data that the copy has not seen.
        twin.bin_boundaries, twin.summary = original.bin_boundaries, np.array(original.summary)
        return
    # The adapted vocabulary of a lookup, and the statistics of a Normalization.
    if hasattr(original, "save_assets") and hasattr(twin, "load_assets"):
        with tempfile.TemporaryDirectory() as folder:
            original.save_assets(folder)
            twin.load_assets(folder)
    if original.built and hasattr(twin, "finalize_state"):
        twin.finalize_state()
    if isinstance(original, keras.layers.Normalization) and original.built:
        # The layer computes with these attributes; its weights may have been assigned since.
        twin.mean, twin.variance = original.mean, original.variance


def copy_trainable(original: keras.Layer, twin: keras.Layer) -> None:
    """Gives a layer, its sublayers and its variables the trainable flags of `original`."""
    for one, other in graph.layer_pairs(original, twin):
        other.trainable = one.trainable
    for source, target in variable_pairs(original, twin):
        if target.trainable != source.trainable:
            target.trainable = source.trainable
