"""OpenVINO files of a model's inference."""

import pathlib
import xml.etree.ElementTree
from collections.abc import Mapping

import keras
import numpy as np

from keras_selectscale.exporting.formats import Consumer, ExportedFile, Format, register
from keras_selectscale.exporting.inference import trace_inference
from keras_selectscale.exporting.report import ExportError
from keras_selectscale.exporting.signature import Signature

# By default OpenVINO computes in bfloat16 on a CPU that has instructions for it.
IN_FLOAT32 = {"INFERENCE_PRECISION_HINT": "f32"}


def write_openvino(model: keras.Model, signature: Signature, path: pathlib.Path) -> None:
    """Writes a model's inference as an OpenVINO file, and its weights beside it.

    Raises:
        ExportError: If OpenVINO does not convert the model.
    """
    import openvino

    concrete = trace_inference(model, signature).concrete
    try:
        content = openvino.convert_model(concrete)
    except Exception as error:  # Any error of the converter is about this model.
        line = " ".join(str(error).split())
        raise ExportError(f"OpenVINO does not convert this model: {line[-300:]}") from error
    openvino.serialize(content, str(path))


def read_openvino(path: pathlib.Path, safe_mode: bool = True) -> ExportedFile:
    """Reads an OpenVINO file with the bodies of its loops and branches."""
    layers = xml.etree.ElementTree.parse(path).iter("layer")
    nodes = [layer.get("type", "") for layer in layers]
    return ExportedFile(nodes, weights=None, load=lambda: _load(path))


def _load(path: pathlib.Path) -> Consumer:
    import openvino

    compiled = openvino.Core().compile_model(str(path), "CPU", IN_FLOAT32)
    names = [output.any_name for output in compiled.outputs]

    def run(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        found = compiled(dict(inputs))
        return {name: found[number] for number, name in enumerate(names)}

    return Consumer([value.any_name for value in compiled.inputs], run)


register(
    Format(
        name="openvino",
        title="OpenVINO IR",
        suffix=".xml",
        default_name="model.xml",
        packages={"openvino": "openvino"},
        on_tensorflow=True,
        in_float32=True,
        tolerance=1e-5,
        write=write_openvino,
        read=read_openvino,
        companion_suffixes=(".bin",),
    )
)
