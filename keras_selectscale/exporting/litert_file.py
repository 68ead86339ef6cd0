"""LiteRT (TensorFlow Lite) files of a model's inference."""

import pathlib
import tempfile
import warnings
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from keras_selectscale.exporting.export_error import ExportError
from keras_selectscale.exporting.exported_file import ExportedFile
from keras_selectscale.exporting.saved_model import SIGNATURE, write_saved_model
from keras_selectscale.exporting.signature import Signature


def write_litert(model: keras.Model, signature: Signature, path: pathlib.Path) -> None:
    """Writes a model's inference as a LiteRT file.

    Where LiteRT has no operation of its own for one of TensorFlow's, the file holds TensorFlow's
    ("Flex") and runs where its Flex delegate is linked in.
    """
    import tensorflow as tf

    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        saved = pathlib.Path(folder) / "saved_model"
        write_saved_model(model, signature, saved)
        own, theirs = tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.SELECT_TF_OPS
        try:
            content = _convert(saved, [own])
        except Exception:
            try:
                content = _convert(saved, [own, theirs])
            except Exception as error:  # Whatever it fails with, it is about this model.
                message = f"the LiteRT converter does not convert this model: {error}"
                raise ExportError(message) from error
    path.write_bytes(content)


def _convert(saved: pathlib.Path, operations: list[Any]) -> bytes:
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_saved_model(str(saved), signature_keys=[SIGNATURE])
    converter.target_spec.supported_ops = operations
    converter.experimental_enable_resource_variables = True
    return converter.convert()


def read_litert(path: pathlib.Path) -> ExportedFile:
    """Loads a LiteRT file into its interpreter, and looks into every subgraph."""
    content = path.read_bytes()
    nodes = _nodes(content)
    interpreter = _interpreter(content, flex=any(node.startswith("Flex") for node in nodes))
    signatures = interpreter.get_signature_list()
    if not signatures:
        raise ValueError("it has no signature")
    key = SIGNATURE if SIGNATURE in signatures else next(iter(signatures))
    runner = interpreter.get_signature_runner(key)

    def run(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return runner(**inputs)

    return ExportedFile(
        nodes=nodes,
        weights=None,
        inputs=list(signatures[key]["inputs"]),
        outputs=list(signatures[key]["outputs"]),
        run=run,
    )


def _interpreter(content: bytes, *, flex: bool) -> Any:
    if not flex:
        from ai_edge_litert.interpreter import Interpreter

        return Interpreter(model_content=content)
    # Only TensorFlow's own has the Flex delegate.
    import tensorflow as tf

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return tf.lite.Interpreter(model_content=content)


def _nodes(content: bytes) -> list[str]:
    """Returns the name of every operation of every subgraph, custom ones by their own."""
    from ai_edge_litert import schema_py_generated as schema

    builtin = {
        code: name
        for name, code in vars(schema.BuiltinOperator).items()
        if isinstance(code, int)
    }
    model = schema.Model.GetRootAs(content, 0)

    def name(number: int) -> str:
        code = model.OperatorCodes(number)
        # Files of old keep the number in a byte.
        which = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        custom = code.CustomCode()
        return custom.decode() if custom else builtin.get(which, f"operation {which}")

    return [
        name(graph.Operators(number).OpcodeIndex())
        for graph in map(model.Subgraphs, range(model.SubgraphsLength()))
        for number in range(graph.OperatorsLength())
    ]
