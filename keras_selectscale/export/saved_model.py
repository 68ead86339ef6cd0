"""Writing a SavedModel that holds the network for inference and nothing else."""

import os
import pathlib
import shutil
import tempfile
from typing import Any

import keras


def write_saved_model(model: keras.Model, path: str | os.PathLike) -> pathlib.Path:
    """Writes a built model as a SavedModel without a trace of its drops.

    It holds exactly the variables that inference reads: no seed state, no count of training calls,
    no optimizer slots, and the weights once. The signature `serving_default` (and the endpoint
    `serve`) takes the model's inputs by name, with a free batch size, and gives its outputs by
    name. It is written beside its place and renamed.

    Args:
        model: A built Functional or Sequential model with one output, on the TensorFlow backend.
        path: Folder to be made.

    Returns:
        The path.

    Raises:
        ValueError: On another backend, or where the model has no known inputs.
        FileExistsError: Where the path exists.
    """
    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            "A SavedModel is written by the TensorFlow backend. "
            f"Received: KERAS_BACKEND={keras.backend.backend()!r}"
        )
    if not model.built or not getattr(model, "inputs", None):
        raise ValueError(
            f"Argument `model` must be a built Functional or Sequential model. Received: {model!r}"
        )
    path = pathlib.Path(path)
    if path.exists():
        raise FileExistsError(f"{path} exists: choose another path, or remove it")
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
        beside = pathlib.Path(folder) / "saved_model"
        _write(model, beside)
        os.replace(beside, path)
    return path


def _write(model: keras.Model, path: pathlib.Path) -> None:
    import tensorflow as tf

    signature = [
        tf.TensorSpec([None, *tensor.shape[1:]], tensor.dtype, name=tensor.name)
        for tensor in model.inputs
    ]
    output_names = getattr(model, "output_names", None) or ["output"]

    @tf.function(input_signature=signature)
    def serve(*inputs: Any) -> dict[str, Any]:
        outputs = model(inputs[0] if len(inputs) == 1 else list(inputs), training=False)
        outputs = outputs if isinstance(outputs, (list, tuple)) else [outputs]
        return dict(zip(output_names, outputs, strict=True))

    concrete = serve.get_concrete_function()
    module = tf.Module()
    module.inference_variables = list(concrete.variables)
    module.serve = serve
    try:
        tf.saved_model.save(module, str(path), signatures={"serving_default": concrete})
    except BaseException:
        shutil.rmtree(path, ignore_errors=True)
        raise
