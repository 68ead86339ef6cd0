"""Copies of layers and operations, with all of their state."""

import contextlib
import copy
import inspect
import tempfile
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from keras_selectscale.models.dtype_policy import dtype_policy
from keras_selectscale.surgery.variables import (
    before_calibration,
    follow_changes,
    variable_pairs,
)

HALVES = ("mixed_bfloat16", "mixed_float16", "bfloat16", "float16")


def copy_operation(operation: Any, dtype: str | None = None) -> Any:
    """Returns a copy that has been called nowhere: a new layer, or the operation for new nodes.

    Args:
        operation: What is copied.
        dtype: Dtype policy of the copy, and of every layer inside; `None` is the original's.

    Raises:
        ValueError: Where a layer cannot be made from its own config.
    """
    if not isinstance(operation, keras.Layer):
        # It has no state: its arguments are what it is made of, whatever they are.
        twin = copy.copy(operation)
        twin._inbound_nodes, twin._outbound_nodes = [], []
        return twin
    if type(operation) is keras.layers.Lambda:
        return _copy_lambda(operation, dtype or operation.dtype_policy)
    try:
        with keras.saving.custom_object_scope(_objects_of(operation)), policy_of(operation, dtype):
            config = before_calibration(operation, operation.get_config())
            return type(operation).from_config(config if dtype is None else _told(config, dtype))
    except Exception as error:
        raise ValueError(
            f"The layer {operation.name!r} (of type {type(operation).__name__}) cannot be copied "
            "from its config: give its class a `get_config` with every argument of `__init__`, and "
            "register with `keras.saving.register_keras_serializable` what the config holds. "
            f"{type(error).__name__}: {error}"
        ) from error


@contextlib.contextmanager
def policy_of(operation: Any, dtype: str | None) -> Iterator[None]:
    """Makes layers of the policy of a layer, where one of one's own makes them without a dtype.

    Args:
        operation: The original.
        dtype: Dtype policy of the copy; `None` is the original's.
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
    """Returns a config in which every policy of half the width is another one.

    Those of integers and words, of a lookup say, and of quantised layers stay.
    """
    if isinstance(config, list | tuple):
        return type(config)(_told(entry, dtype) for entry in config)
    if not isinstance(config, dict):
        return config
    told = {key: _told(value, dtype) for key, value in config.items()}
    policy = told.get("dtype")
    name = policy["config"].get("name") if isinstance(policy, dict) else policy
    return {**told, "dtype": dtype} if name in HALVES else told


def _copy_lambda(layer: keras.layers.Lambda, dtype: Any) -> keras.layers.Lambda:
    """Keras makes no Lambda of a config in safe mode; this one comes from no file."""
    return keras.layers.Lambda(
        layer.function,
        output_shape=layer._output_shape,
        mask=layer.mask,
        arguments=dict(layer.arguments),
        name=layer.name,
        dtype=dtype,
        trainable=layer.trainable,
    )


def _objects_of(layer: keras.Layer) -> dict[str, Any]:
    """Returns the classes and functions of one's own that a layer's config may name."""
    found: dict[str, Any] = {}
    for sublayer in layer._flatten_layers():
        for value in (sublayer, *vars(sublayer).values()):
            thing = value if inspect.isfunction(value) else type(value)
            if thing.__module__.split(".")[0] not in ("keras", "builtins"):
                found.setdefault(thing.__name__, thing)
    return found


def copy_state(original: keras.Layer, twin: keras.Layer) -> None:
    """Gives `twin` the values of all variables of `original`, random states included.

    Raises:
        ValueError: Where their variables differ.
    """
    follow_changes(original, twin)
    for source, target in variable_pairs(original, twin):
        # Values of its own: on JAX a shared array is deleted once a step has donated it.
        target.assign(np.array(keras.ops.convert_to_numpy(source.value)))
    pairs = list(zip(original._flatten_layers(), twin._flatten_layers(), strict=False))
    # A layer around a lookup loads the vocabulary, which wants the weights of its words.
    for one, other in pairs:
        if hasattr(one, "idf_weights_const"):
            store: dict[str, Any] = {}
            one.save_own_variables(store)
            other.load_own_variables(store)
    for one, other in pairs:
        _copy_what_is_no_variable(one, other)


def kept_states(layer: keras.Layer) -> list[Any]:
    """Returns what a stateful recurrent layer keeps from call to call, of which Keras tells not."""
    if not getattr(layer, "stateful", False):
        return []
    return keras.tree.flatten(getattr(layer, "states", None) or [])


def _copy_what_is_no_variable(original: keras.Layer, twin: keras.Layer) -> None:
    for source, target in zip(kept_states(original), kept_states(twin), strict=False):
        target.assign(np.array(keras.ops.convert_to_numpy(source.value)))
    if isinstance(original, keras.layers.Discretization):
        # `finalize_state` would make the bins of data that the copy has not seen.
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
        # What it computes with; its weights may have been assigned to since.
        twin.mean, twin.variance = original.mean, original.variance


def copy_trainable(original: keras.Layer, twin: keras.Layer) -> None:
    """Gives a layer, its sublayers and its variables the flags of `original`."""
    for one, other in zip(original._flatten_layers(), twin._flatten_layers(), strict=False):
        other.trainable = one.trainable
    for source, target in variable_pairs(original, twin):
        if target.trainable != source.trainable:
            target.trainable = source.trainable
