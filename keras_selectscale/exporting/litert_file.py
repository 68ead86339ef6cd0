"""LiteRT (TensorFlow Lite) files of a model's inference."""

import contextlib
import pathlib
import re
import tempfile
from collections.abc import Iterator, Mapping

import keras
import numpy as np

from keras_selectscale.exporting.formats import Consumer, ExportedFile, Format, register
from keras_selectscale.exporting.litert_layers import composed
from keras_selectscale.exporting.report import ExportError
from keras_selectscale.exporting.saved_model import (
    SIGNATURE,
    without_pattern,
    write_saved_model,
)
from keras_selectscale.exporting.signature import Signature
from keras_selectscale.surgery.drop_kinds import all_layers


def write_litert(model: keras.Model, signature: Signature, path: pathlib.Path) -> None:
    """Writes a model's inference as a LiteRT file with LiteRT's own operations only.

    TensorFlow operations ("Flex") are refused, because the interpreters on PyPI do not run them, so
    the file could not be verified. Recurrent layers would become loops over lists of tensors, which
    are such operations. They are unrolled if the number of steps is known.

    Raises:
        ExportError: If the model needs an operation that LiteRT does not have.
    """
    with tempfile.TemporaryDirectory(dir=path.parent) as folder, composed(model):
        try:
            content = _convert(model, signature, pathlib.Path(folder) / "loops")
        except Exception as error:  # Any error of the converter is about this model.
            recurrent = [x for x in all_layers(model) if isinstance(x, keras.layers.RNN)]
            if not recurrent:
                raise _unconverted(error) from error
            try:
                with _unrolled(recurrent):
                    content = _convert(model, signature, pathlib.Path(folder) / "unrolled")
            except Exception:  # The number of steps is unknown.
                raise _unconverted(error) from error
    path.write_bytes(content)


def _convert(model: keras.Model, signature: Signature, beside: pathlib.Path) -> bytes:
    import tensorflow as tf

    write_saved_model(model, signature, beside)
    with without_pattern(beside) as plain:
        converter = tf.lite.TFLiteConverter.from_saved_model(str(plain), signature_keys=[SIGNATURE])
        converter.experimental_enable_resource_variables = True
        return converter.convert()


@contextlib.contextmanager
def _unrolled(layers: list[keras.layers.RNN]) -> Iterator[None]:
    before = [layer.unroll for layer in layers]
    for layer in layers:
        layer.unroll = True
    try:
        yield
    finally:
        for layer, unroll in zip(layers, before, strict=True):
            layer.unroll = unroll


def _unconverted(error: Exception) -> ExportError:
    """Returns the converter's pages of errors as one line."""
    text = str(error)
    operations = sorted(set(re.findall(r"'tf\.(\w+)' op is neither", text)))
    line = ", ".join(operations) or " ".join(text.split("error:")[-1].split())[:200]
    return ExportError(f"LiteRT lacks operations for this model: {line}")


def read_litert(path: pathlib.Path, safe_mode: bool = True) -> ExportedFile:
    """Reads a LiteRT file with all of its subgraphs."""
    content = path.read_bytes()
    return ExportedFile(_nodes(content), weights=None, load=lambda: _load(content))


def _load(content: bytes) -> Consumer:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content)
    signatures = interpreter.get_signature_list()
    if not signatures:
        raise ValueError("it has no signature, which would name its inputs")
    key = SIGNATURE if SIGNATURE in signatures else next(iter(signatures))
    runner = interpreter.get_signature_runner(key)

    def run(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return runner(**inputs)

    return Consumer(list(signatures[key]["inputs"]), run)


def _nodes(content: bytes) -> list[str]:
    """Returns the name of every operation of every subgraph, including custom operations."""
    from ai_edge_litert import schema_py_generated as schema

    builtin = {
        code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)
    }
    model = schema.Model.GetRootAs(content, 0)

    def name(number: int) -> str:
        code = model.OperatorCodes(number)
        # Old files keep the number in a byte.
        which = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        custom = code.CustomCode()
        return custom.decode() if custom else builtin.get(which, f"operation {which}")

    return [
        name(graph.Operators(number).OpcodeIndex())
        for graph in map(model.Subgraphs, range(model.SubgraphsLength()))
        for number in range(graph.OperatorsLength())
    ]


register(
    Format(
        name="litert",
        title="LiteRT (TensorFlow Lite)",
        suffix=".tflite",
        default_name="model.tflite",
        packages={"ai_edge_litert": "ai-edge-litert"},
        on_tensorflow=True,
        in_float32=True,
        tolerance=1e-5,
        write=write_litert,
        read=read_litert,
    )
)
