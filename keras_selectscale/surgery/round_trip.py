"""Checks that a model can be saved and loaded, and finds the layer at fault."""

import pathlib
import tempfile
from typing import Any

import keras
import numpy as np

from keras_selectscale.checks import shown
from keras_selectscale.surgery import graph
from keras_selectscale.surgery.layer_copies import copy_operation, copy_state
from keras_selectscale.surgery.random_inputs import random_inputs

# Outputs count as different if they differ by more than this share of the largest one.
TOLERANCE = 1e-5


def check_round_trip(model: keras.Model) -> None:
    """Saves a Functional or Sequential model, loads it and compares weights and outputs.

    The file is temporary and comes from this process, so Python lambdas in it are trusted.

    Raises:
        ValueError: If the file does not load, or loads as a different model. The message names the
            layer, which is found by saving and loading each layer alone.
    """
    reason = round_trip_error(model)
    if reason is None:
        return
    culprit = failing_layer(model)
    named = culprit or f"No layer fails alone, but the model {model.name!r} does: {reason}"
    raise ValueError(
        f"Argument `model` must still load once it is saved without its drops. {named} The model "
        "is built from the configs of its layers, so each layer needs a `get_config` and a "
        f"`from_config` that restore it. Received: model={shown(model)}"
    )


def round_trip_error(model: keras.Model) -> str | None:
    """Returns why a model differs after saving and loading, or `None`."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model.keras"
        try:
            model.save(path)
            loaded = keras.models.load_model(path, compile=False, safe_mode=False)
        except Exception as error:  # A layer's own code may raise anything.
            return f"{type(error).__name__}: {_last_line(error)}"
    theirs, ours = ([tuple(v.shape) for v in one.weights] for one in (loaded, model))
    if theirs != ours:
        return f"it has weights of the shapes {theirs} after loading, not {ours}"
    if _outputs_differ(model, loaded):
        return "its outputs differ after loading"
    return None


def _outputs_differ(model: keras.Model, loaded: keras.Model) -> bool:
    inputs = graph.functional(model).inputs
    batch_size = next((x.shape[0] for x in inputs if x.shape[0]), 2)
    for batches in random_inputs(inputs, [batch_size]):
        try:
            first, second, other = (_run(m, batches[0]) for m in (model, model, loaded))
        except Exception:  # The model may not accept these sizes or values.
            continue
        # A model that draws in inference cannot be compared.
        return all(map(_alike, first, second)) and not all(map(_alike, first, other))
    return False


def _run(model: keras.Model, arrays: list[np.ndarray]) -> list[np.ndarray]:
    function = graph.functional(model)
    structure = keras.tree.pack_sequence_as(function.input, arrays)
    return [keras.ops.convert_to_numpy(y) for y in keras.tree.flatten(model(structure))]


def _alike(one: np.ndarray, other: np.ndarray) -> bool:
    if one.shape != other.shape:
        return False
    if one.dtype.kind in "OSU":
        return np.array_equal(one, other)
    one, other = one.astype("float64"), other.astype("float64")
    finite = np.abs(one[np.isfinite(one)])
    scale = max(1.0, finite.max()) if finite.size else 1.0
    return np.allclose(one, other, rtol=0, atol=TOLERANCE * scale, equal_nan=True)


def failing_layer(model: keras.Model, path: str = "") -> str | None:
    """Returns a sentence about the first layer that fails to save and load alone, or `None`.

    Args:
        model: A Functional or Sequential model.
        path: Path of a nested model, for the sentence.
    """
    seen: set[int] = set()
    for node in graph.nodes(model):
        operation = node.operation
        if id(operation) in seen:
            continue
        seen.add(id(operation))
        reason = _error_alone(operation, node)
        if reason is None:
            continue
        inside = f"{path}{operation.name}"
        if graph.is_model(operation) and (found := failing_layer(operation, f"{inside}/")):
            return found
        return f"The layer {inside!r} (of type {type(operation).__name__}) does not: {reason}."
    return None


def _error_alone(operation: Any, node: Any) -> str | None:
    """Returns why a model with only this call cannot be saved and loaded."""
    if graph.is_model(operation):
        return round_trip_error(operation)
    inputs = {
        id(x): keras.Input(batch_shape=x.shape, dtype=x.dtype, sparse=x.sparse)
        for x in node.input_tensors
    }
    args, kwargs = node.arguments.fill_in(inputs)
    twin = copy_operation(operation)
    alone = keras.Model(list(inputs.values()), twin(*args, **kwargs))
    if isinstance(operation, keras.Layer):
        copy_state(operation, twin)
    return round_trip_error(alone)


def _last_line(error: Exception) -> str:
    """Returns the innermost reason of an error in which Keras nests configs, as one line."""
    text = str(error).split("Exception encountered: ")[-1]
    line = " ".join(text.split())
    return line if len(line) <= 300 else f"{line[:300]}…"
