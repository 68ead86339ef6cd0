"""The graph of a model's inference on TensorFlow."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from keras_selectscale.exporting.signature import Signature, unique
from keras_selectscale.surgery.switching import drops_off


@dataclasses.dataclass(frozen=True)
class Inference:
    """The graph of a model's inference, without its drops.

    Attributes:
        serve: `tf.function` that takes and gives what the model takes and gives.
        by_name: `tf.function` of the flat inputs, named, that gives the outputs as a dict by name.
        concrete: The traced `by_name`.
    """

    serve: Any
    by_name: Any
    concrete: Any

    def weights(self, model: keras.Model) -> list[np.ndarray]:
        """Returns the weights that inference reads; no seed state, no count, no metric."""
        kept = {id(weight.value) for weight in model.weights}
        others = {id(variable.value) for variable in model.variables} - kept
        return [v.numpy() for v in self.concrete.variables if id(v) not in others]

    def nodes(self) -> list[str]:
        """Returns the type of every node, all functions included."""
        return graph_nodes(self.concrete.graph.as_graph_def())

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Returns the outputs by name."""
        outputs = self.concrete(**as_tensors(inputs))
        return {name: output.numpy() for name, output in outputs.items()}


def trace_inference(model: keras.Model, signature: Signature) -> Inference:
    """Traces a model in inference with its drops off.

    Args:
        model: The model, on the TensorFlow backend.
        signature: What it takes.
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

    # Both call what is traced: saving traces them again, and not the model.
    @tf.function(input_signature=structure, autograph=False)
    def serve(*arguments: Any) -> Any:
        return traced(*arguments)

    @tf.function(input_signature=flat, autograph=False)
    def by_name(*inputs: Any) -> dict[str, Any]:
        outputs = traced(*signature.pack(inputs))
        return dict(zip(names, keras.tree.flatten(outputs), strict=True))

    return Inference(serve, by_name, by_name.get_concrete_function())


def output_names(model: keras.Model, outputs: Any) -> tuple[str, ...]:
    """Returns the names of a model's outputs: keys of a dict, or those that Keras gives them.

    Args:
        model: The model.
        outputs: What it gives, as a structure.
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


def as_tensors(inputs: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Returns arrays as TensorFlow's tensors."""
    import tensorflow as tf

    return {name: tf.constant(value) for name, value in inputs.items()}


def graph_nodes(graph: Any) -> list[str]:
    """Returns the type of every node of a `GraphDef`, its library of functions included."""
    nodes = [node.op for node in graph.node]
    return nodes + [node.op for inner in graph.library.function for node in inner.node_def]
