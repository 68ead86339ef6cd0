"""Verifies an export that exists."""

import os

import keras

from keras_selectscale.argument_names import named_arguments
from keras_selectscale.exporting.formats import format_of, get_format
from keras_selectscale.exporting.proof import as_held, prove
from keras_selectscale.exporting.report import ExportReport
from keras_selectscale.exporting.signature import signature_of
from keras_selectscale.exporting.tensorflow_process import prove_on_tensorflow
from keras_selectscale.object_checks import as_boolean, as_path


@named_arguments
def verify_export(
    path: str | os.PathLike,
    model: keras.Model,
    *,
    format: str | None = None,
    safe_mode: bool = True,
) -> ExportReport:
    """Loads an exported file and compares it with the model from which it was made.

    It inspects every node of the graph, including functions, subgraphs and loop bodies, and every
    variable in the file, and computes the outputs on random inputs as the file's users do: with
    `tf.saved_model.load`, onnxruntime, LiteRT, OpenVINO or Keras. It compares with the inference of
    the model without drops: a drop that the model calls with `training=True` must be gone too.
    Unlike `export`, it accepts a file that holds a weight more than once, such as Keras'
    `model.export` writes; `report.variables` and `report.bytes` show that. An ONNX, LiteRT or
    OpenVINO file, which computes in float32, is compared with the model in float32. On JAX and
    PyTorch, all files but `.keras` are verified by TensorFlow, which must be installed, in a
    separate process.

    Args:
        path: The file, or the folder of a SavedModel, written by this package or by other means.
        model: The model, built.
        format: `"tf_saved_model"`, `"onnx"`, `"litert"`, `"openvino"` or `"keras"`; by default
            inferred from the path.
        safe_mode: Whether to refuse a `.keras` file that holds Python code, such as the lambda of
            a `Lambda` layer. Loading it runs that code, so pass `False` only if you trust the file.

    Returns:
        An `ExportReport`. `report.passed` says whether the file holds the inference of the model
        without a trace of a drop, and `report.reasons` says why not. A bad file raises no error.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If the model is not built, or the format is unknown.
        ExportError: If the model cannot be handed to TensorFlow, on another backend.
        ImportError: If a package is missing that the format needs.
        FileNotFoundError: If the path does not exist.

    Example:

    ```python
    report = verify_export("network.onnx", model)
    assert report.passed, report
    ```
    """
    path = as_path("path", path)
    as_boolean("safe_mode", safe_mode)
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist: there is no export to verify")
    kind = get_format(format if format is not None else format_of(path))
    model, notices = as_held(model, kind)
    proof = prove_on_tensorflow if kind.is_written_elsewhere else prove
    return proof(
        path, model, signature_of(model), kind, once=False, safe_mode=safe_mode, notices=notices
    )
