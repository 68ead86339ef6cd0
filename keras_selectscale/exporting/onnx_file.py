"""ONNX files of a model's inference."""

import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np

from keras_selectscale.exporting.export_error import ExportError
from keras_selectscale.exporting.exported_file import Consumer, ExportedFile
from keras_selectscale.exporting.inference import trace_inference
from keras_selectscale.exporting.signature import Signature


def write_onnx(model: keras.Model, signature: Signature, path: pathlib.Path) -> None:
    """Writes a model's inference as an ONNX file."""
    import tf2onnx

    inference = trace_inference(model, signature)
    try:
        tf2onnx.convert.from_function(
            inference.by_name,
            input_signature=inference.by_name.input_signature,
            output_path=str(path),
        )
    except Exception as error:  # Whatever the converter fails with, it is about this model.
        raise ExportError(f"tf2onnx does not convert this model: {error}") from error


def read_onnx(path: pathlib.Path) -> ExportedFile:
    """Reads an ONNX file, every subgraph and function of it."""
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
    """Yields the type of each node and of those in the subgraphs that it holds."""
    for node in nodes:
        yield node.op_type
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                yield from _nodes(graph.node)
