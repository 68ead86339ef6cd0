"""Compares the weights and the outputs of a rebuilt model with those of the original."""

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

import keras
import numpy as np

from keras_selectscale.surgery import drop_kinds, graph, layer_copies, switching
from keras_selectscale.surgery.random_inputs import random_inputs
from keras_selectscale.surgery.variables import variable_pairs

# Differences up to this share of the largest output count as rounding.
TOLERANCE = 1e-6


def check_weights(layers: Iterable[tuple[keras.Layer, keras.Layer]], model: keras.Model) -> None:
    """Raises an error if a layer has other weights than its copy.

    Args:
        layers: The layers with their copies.
        model: The original model, for the message.
    """
    for original, copied in layers:
        for source, target in variable_pairs(original, copied):
            if not _equal(_numpy(source.value), _numpy(target.value)):
                raise ValueError(
                    f"The model that was rebuilt from the {type(model).__name__} {model.name!r} "
                    f"has other weights in the layer {original.name!r} (of type "
                    f"{type(original).__name__}): {source.path}"
                )


def check_outputs(model: keras.Model, twin: keras.Model, kind: type) -> None:
    """Raises an error if the outputs of a rebuilt model differ from those of the original.

    Both are called on one random batch in inference, with their drops off. If the original does not
    accept such a batch, nothing is compared. Variables that a call changes are restored.

    Args:
        model: The original.
        twin: The rebuilt model.
        kind: The class of the original, for the message.
    """
    inputs = graph.functional(model).inputs
    batch_size = next((x.shape[0] for x in inputs if x.shape[0]), 1)
    with switching.drops_off(model), switching.drops_off(twin), _variables_kept(model, twin):
        for batches in random_inputs(inputs, [batch_size]):
            batch = keras.tree.pack_sequence_as(graph.functional(model).input, batches[0])
            try:
                expected = _outputs(model, batch)
                break
            except Exception:  # The model may require another size or other values.
                continue
        else:
            return
        outputs = _outputs(twin, batch)
        differing = _difference(expected, outputs)
        # The original may draw in inference, and then differs from itself.
        if differing > TOLERANCE and differing > 10 * _difference(expected, _outputs(model, batch)):
            raise ValueError(
                f"The model that was rebuilt from the {kind.__name__} {model.name!r} computes "
                f"something else: on a random batch its outputs differ by {differing:.2g} of their "
                f"size{_first_difference(model, twin, batch)}"
            )


def _first_difference(model: keras.Model, twin: keras.Model, batch: Any) -> str:
    """Returns where two graphs begin to differ, as the end of a sentence."""
    theirs, ours = (dict(_layer_outputs(m, batch)) for m in (model, twin))
    for layer, outputs in theirs.items():
        match = next((other for other in ours if other.name == layer.name), None)
        if match is not None and _difference(outputs, ours[match]) > TOLERANCE:
            return (
                f", first in the layer {layer.name!r} (of type {type(layer).__name__}). Give its "
                "class a `get_config` that returns every argument of `__init__`, or reuse the "
                "layers of the original: `copy=False`"
            )
    return ""


def _layer_outputs(model: keras.Model, batch: Any) -> Iterator[tuple[Any, list[np.ndarray]]]:
    """Yields the operations of a graph with their outputs, in the order of execution."""
    inner = graph.functional(model)
    inputs = keras.tree.flatten(batch)
    tensors = {
        id(x): keras.ops.convert_to_tensor(value, dtype=x.dtype)
        for x, value in zip(inner.inputs, inputs, strict=True)
    }
    for node in graph.nodes(model):
        args, kwargs = node.arguments.fill_in(tensors)
        outputs = keras.tree.flatten(node.operation(*args, **kwargs))
        tensors.update((id(x), value) for x, value in zip(node.outputs, outputs, strict=False))
        yield node.operation, [_numpy(value) for value in outputs]


def _outputs(model: keras.Model, batch: Any) -> list[np.ndarray]:
    return [_numpy(y) for y in keras.tree.flatten(model(batch, training=False))]


def _difference(expected: list[np.ndarray], outputs: list[np.ndarray]) -> float:
    """Returns the largest difference as a share of the largest value, or infinity."""
    if [x.shape for x in expected] != [x.shape for x in outputs]:
        return np.inf
    largest = 0.0
    for one, other in zip(expected, outputs, strict=True):
        if _equal(one, other):
            continue
        if one.dtype.kind not in "fiub":
            return np.inf
        one, other = np.asarray(one, "float64"), np.asarray(other, "float64")
        finite = np.isfinite(one)
        if not np.array_equal(finite, np.isfinite(other)):
            return np.inf
        one, other = one[finite], other[finite]
        largest = max(largest, np.abs(one - other).max(initial=0) / max(np.abs(one).max(), 1e-30))
    return float(largest)


def _equal(one: np.ndarray, other: np.ndarray) -> bool:
    if one.dtype.kind in "OSU":
        return np.array_equal(one, other)
    return one.shape == other.shape and one.tobytes() == other.tobytes()


def _numpy(value: Any) -> np.ndarray:
    array = keras.ops.convert_to_numpy(value)
    # bfloat16 and float8 have no order in NumPy.
    return array.astype("float32") if array.dtype.kind == "V" else array


@contextlib.contextmanager
def _variables_kept(*models: keras.Model) -> Iterator[None]:
    """Restores random states, the states of recurrent layers and other changing variables."""
    variables = {id(v): v for model in models for v in model.non_trainable_variables}
    for model in models:
        for layer in drop_kinds.all_layers(model):
            variables.update((id(v), v) for v in layer_copies.kept_states(layer))
    kept = [(v, np.array(keras.ops.convert_to_numpy(v.value))) for v in variables.values()]
    try:
        yield
    finally:
        for variable, value in kept:
            if not _equal(value, keras.ops.convert_to_numpy(variable.value)):
                variable.assign(value)
