"""The inference of a model without its drops: its outputs by name, and its TensorFlow graph."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from keras_selectscale.exporting.signature import Signature, unique
from keras_selectscale.surgery.switching import drops_off


def run_model(
    model: keras.Model, signature: Signature, inputs: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Returns the outputs of a model's inference by name, on any backend."""
    tensors = [keras.ops.convert_to_tensor(inputs[name]) for name in signature.names]
    outputs = model(*signature.pack(tensors), training=False)
    flat = keras.tree.flatten(outputs)
    return {
        name: keras.ops.convert_to_numpy(value)
        for name, value in zip(output_names(model, outputs), flat, strict=True)
    }


def output_names(model: keras.Model, outputs: Any) -> tuple[str, ...]:
    """Returns the names of a model's outputs: the keys of a dict, or the names that Keras knows.

    Args:
        model: The model.
        outputs: Structure of its outputs.
    """
    flat = keras.tree.flatten(outputs)
    if isinstance(outputs, dict):
        return unique("_".join(map(str, path)) for path, _ in keras.tree.flatten_with_path(outputs))
    named = getattr(model, "output_names", None)
    if named is None and isinstance(model, keras.Sequential):
        named = [model.layers[-1].name]
    if named is not None and len(named) == len(flat):
        return unique(named)
    return unique(f"output_{number}" for number in range(len(flat)))


@dataclasses.dataclass(frozen=True)
class Inference:
    """The graph of a model's inference, without its drops.

    Attributes:
        serve: `tf.function` with the inputs and outputs of the model.
        by_name: `tf.function` that takes the inputs flat, by name, and returns a dict of outputs.
        concrete: The traced `by_name`.
    """

    serve: Any
    by_name: Any
    concrete: Any

    def variables(self, model: keras.Model) -> list[Any]:
        """Returns the weights that inference reads: no seed states, counters or metrics."""
        kept = {id(weight.value) for weight in model.weights}
        others = {id(variable.value) for variable in model.variables} - kept
        return [v for v in self.concrete.variables if id(v) not in others]

    def nodes(self) -> list[str]:
        """Returns the type of every node, including those in functions."""
        return graph_nodes(self.concrete.graph.as_graph_def())

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Returns the outputs by name."""
        outputs = self.concrete(**as_tensors(inputs))
        return {name: output.numpy() for name, output in outputs.items()}


def trace_inference(model: keras.Model, signature: Signature) -> Inference:
    """Traces a model in inference with its drops off, on the TensorFlow backend.

    Args:
        model: The model.
        signature: Signature of the model.
    """
    import tensorflow as tf

    def as_tf(spec: keras.InputSpec, name: str) -> Any:
        return tf.TensorSpec(spec.shape, spec.dtype, name=name)

    flat = [as_tf(s, n) for s, n in zip(signature.specs, signature.names, strict=True)]

    def infer(*arguments: Any) -> Any:
        return model(*arguments, training=False)

    structure = signature.pack(flat)
    with drops_off(model):
        traced = tf.function(
            infer, input_signature=structure, autograph=False
        ).get_concrete_function()
    names = output_names(model, traced.structured_outputs)

    # Both call the traced function: saving traces them again, but not the model.
    @tf.function(input_signature=structure, autograph=False)
    def serve(*arguments: Any) -> Any:
        return traced(*arguments)

    @tf.function(input_signature=flat, autograph=False)
    def by_name(*inputs: Any) -> dict[str, Any]:
        outputs = traced(*signature.pack(inputs))
        return dict(zip(names, keras.tree.flatten(outputs), strict=True))

    return Inference(serve, by_name, by_name.get_concrete_function())


def as_tensors(inputs: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Returns arrays as TensorFlow tensors."""
    import tensorflow as tf

    return {name: tf.constant(value) for name, value in inputs.items()}


def graph_nodes(graph: Any) -> list[str]:
    """Returns the type of every node of a `GraphDef`, including its library of functions."""
    nodes = [node.op for node in graph.node]
    return nodes + [node.op for inner in graph.library.function for node in inner.node_def]
