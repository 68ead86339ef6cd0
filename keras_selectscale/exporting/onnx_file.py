"""ONNX files of a model's inference."""

import contextlib
import logging
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np

from keras_selectscale.exporting.formats import Consumer, ExportedFile, Format, register
from keras_selectscale.exporting.inference import trace_inference
from keras_selectscale.exporting.onnx_operations import HANDLERS, pad_the_outputs
from keras_selectscale.exporting.report import ExportError
from keras_selectscale.exporting.signature import Signature

# The default of tf2onnx, and the newest that it supports, which has a few more operations.
OPSETS = (15, 18)
# With these attributes, TensorFlow compiles a function with XLA instead of inlining it.
COMPILED = ("_XlaMustCompile", "_noinline")


def write_onnx(model: keras.Model, signature: Signature, path: pathlib.Path) -> None:
    """Writes a model's inference as an ONNX file.

    Raises:
        ExportError: If tf2onnx fails, or the model needs an operation that ONNX does not have.
    """
    import onnx

    concrete = trace_inference(model, signature).concrete
    missing: list[str] = []
    for opset in OPSETS:
        try:
            graph = _frozen_graph(concrete)
            content = _convert(graph, concrete, opset)
        except Exception as error:  # Any error of the converter is about this model.
            raise ExportError(f"tf2onnx does not convert this model: {error}") from error
        missing = sorted({op for op in _nodes(content.graph.node) if not _exists(op, opset)})
        if not missing:
            pad_the_outputs(content)
            _name_the_free_sizes(content)
            onnx.save(content, str(path))
            return
    raise ExportError(
        "ONNX, or tf2onnx, has no counterpart of these operations of TensorFlow in this model: "
        f"{', '.join(missing)}"
    )


def _frozen_graph(concrete: Any) -> Any:
    """Returns the `GraphDef` of a function with everything that it captures as constants.

    On TensorFlow, Keras compiles grouped convolutions with XLA, and tf2onnx does not look into
    compiled functions, so they become ordinary functions here. tf2onnx would turn tensors that a
    layer keeps, such as the mean and variance of a Normalization, into inputs.
    """
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import (
        convert_variables_to_constants_v2,
    )
    from tf2onnx import tf_loader

    try:
        graph = convert_variables_to_constants_v2(
            concrete, lower_control_flow=False, aggressive_inlining=True
        ).graph.as_graph_def(add_shapes=True)
    except ValueError as error:
        if "expected resource" not in str(error):
            raise
        # A stateful recurrent layer assigns to a variable.
        graph = tf_loader.convert_variables_to_constants_large_model(concrete)
        graph = tf_loader.fix_freezing_errors(graph)
    graph = tf_loader.fix_freezing_errors_part2(graph)
    kept = {
        inside.op.name: outside.numpy()
        for outside, inside in concrete.graph.captures
        if outside.dtype != tf.resource
    }
    for node in graph.node:
        if node.op == "Placeholder" and node.name in kept:
            dtype = node.attr["dtype"]
            node.op = "Const"
            node.attr.clear()
            node.attr["dtype"].CopyFrom(dtype)
            node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(kept[node.name]))
    calls = [*graph.node, *(node for f in graph.library.function for node in f.node_def)]
    for holder in [*calls, *graph.library.function]:
        for name in COMPILED:
            holder.attr.pop(name, None)
    return graph


def _convert(graph: Any, concrete: Any, opset: int) -> Any:
    """Returns the ONNX model of a graph, with the names of the function's inputs and outputs."""
    import tf2onnx

    captured = {inside.name for _, inside in concrete.graph.captures}
    inputs = {x.name: x.op.name for x in concrete.inputs if x.name not in captured}
    outputs = {y.name: name for name, y in concrete.structured_outputs.items()}
    with _quiet():
        content, _ = tf2onnx.convert.from_graph_def(
            graph,
            name=concrete.name,
            input_names=list(inputs),
            output_names=list(outputs),
            opset=opset,
            custom_op_handlers={name: (handler, []) for name, handler in HANDLERS.items()},
            tensors_to_rename={**inputs, **outputs},
        )
    return content


def _name_the_free_sizes(content: Any) -> None:
    """Names the free sizes of the inputs and outputs: `batch`, and `images_1` for axis 1 of images.

    tf2onnx numbers them, such as `unk__13`, in which the number changes with every export.
    """
    for value in (*content.graph.input, *content.graph.output):
        for axis, size in enumerate(value.type.tensor_type.shape.dim):
            if not size.HasField("dim_value"):
                size.dim_param = f"{value.name}_{axis}" if axis else "batch"


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silences tf2onnx, whose errors about missing operations are raised here."""
    logger = logging.getLogger("tf2onnx")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)


def _exists(operation: str, opset: int) -> bool:
    import onnx

    return onnx.defs.has(operation, opset)


def read_onnx(path: pathlib.Path, safe_mode: bool = True) -> ExportedFile:
    """Reads an ONNX file with all of its subgraphs and functions."""
    import onnx

    content = onnx.load(str(path))
    nodes = list(_nodes(content.graph.node))
    for function in content.functions:
        nodes += _nodes(function.node)
    for training in content.training_info:
        nodes += [*_nodes(training.initialization.node), *_nodes(training.algorithm.node)]
    return ExportedFile(nodes, weights=None, load=lambda: _load(path))


def _load(path: pathlib.Path) -> Consumer:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    outputs = [output.name for output in session.get_outputs()]

    def run(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return dict(zip(outputs, session.run(outputs, dict(inputs)), strict=True))

    return Consumer([value.name for value in session.get_inputs()], run)


def _nodes(nodes: Any) -> Iterator[str]:
    """Yields the type of each node, including those in its subgraphs."""
    for node in nodes:
        yield node.op_type
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                yield from _nodes(graph.node)


register(
    Format(
        name="onnx",
        title="ONNX",
        suffix=".onnx",
        default_name="model.onnx",
        packages={"onnx": "onnx", "tf2onnx": "tf2onnx", "onnxruntime": "onnxruntime"},
        on_tensorflow=True,
        in_float32=True,
        tolerance=1e-5,
        write=write_onnx,
        read=read_onnx,
    )
)
