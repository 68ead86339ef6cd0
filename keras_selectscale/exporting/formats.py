"""The formats, and the checks of what is asked of one."""

import importlib
import os
import pathlib

import keras

from keras_selectscale.exporting.format import Format
from keras_selectscale.exporting.keras_file import read_keras, write_keras
from keras_selectscale.exporting.litert_file import read_litert, write_litert
from keras_selectscale.exporting.onnx_file import read_onnx, write_onnx
from keras_selectscale.exporting.saved_model import read_saved_model, write_saved_model
from keras_selectscale.surgery.strip import in_float32

FORMATS = {
    "tf_saved_model": Format(
        suffix="",
        default_name="saved_model",
        packages={},
        on_tensorflow=True,
        in_float32=False,
        tolerance=0.0,
        write=write_saved_model,
        read=read_saved_model,
    ),
    "onnx": Format(
        suffix=".onnx",
        default_name="model.onnx",
        packages={"onnx": "onnx", "tf2onnx": "tf2onnx", "onnxruntime": "onnxruntime"},
        on_tensorflow=True,
        in_float32=True,
        tolerance=1e-5,
        write=write_onnx,
        read=read_onnx,
    ),
    "litert": Format(
        suffix=".tflite",
        default_name="model.tflite",
        packages={"ai_edge_litert": "ai-edge-litert"},
        on_tensorflow=True,
        in_float32=True,
        tolerance=1e-5,
        write=write_litert,
        read=read_litert,
    ),
    "keras": Format(
        suffix=".keras",
        default_name="model.keras",
        packages={},
        on_tensorflow=False,
        in_float32=False,
        tolerance=0.0,
        write=write_keras,
        read=read_keras,
    ),
}


def get_format(name: str) -> Format:
    """Returns the format of a name.

    Raises:
        ValueError: Where there is none, or the backend does not write it.
        ImportError: Where a package is missing that it needs.
    """
    if name not in FORMATS:
        raise ValueError(
            f"Argument `format` must be one of {sorted(FORMATS)}. Received: format={name!r}"
        )
    found = FORMATS[name]
    backend = keras.backend.backend()
    if found.on_tensorflow and backend != "tensorflow":
        raise ValueError(
            f'Argument `format` must be "keras" on the {backend} backend; the others are written '
            "by TensorFlow: a .keras file exported here loads there, under "
            f"KERAS_BACKEND=tensorflow. Received: format={name!r}"
        )
    missing = [pip for module, pip in found.packages.items() if not _imports(module)]
    if missing:
        raise ImportError(
            f"The format {name!r} needs packages that are not installed: "
            f"pip install {' '.join(missing)} (or the extra: pip install "
            "'keras-selectscale[export]')"
        )
    return found


def _imports(module: str) -> bool:
    try:
        importlib.import_module(module)
    except ImportError:
        return False
    return True


def as_held(model: keras.Model, name: str) -> keras.Model:
    """Returns the model as the format holds it: itself, or a copy of it that computes in float32.

    Raises:
        ValueError: Where the format is of float32 alone, and the model of half the width and with
            no graph that could be copied.
    """
    if not FORMATS[name].in_float32:
        return model
    dtypes = {str(layer.compute_dtype) for layer in model._flatten_layers()}
    half = sorted(dtypes & {"bfloat16", "float16"})
    if not half:
        return model
    try:
        return in_float32(model)
    except ValueError as error:
        raise ValueError(
            f"Argument `format` must be 'tf_saved_model' or 'keras' for this model, which computes "
            f"in {half[0]}: {name} holds models of float32. Build it under "
            "keras.config.set_dtype_policy('float32') and give it these weights. "
            f"Received: format={name!r} ({error})"
        ) from error


def check_suffix(path: pathlib.Path, name: str) -> None:
    """Raises where a path does not end as the format's do."""
    suffix = FORMATS[name].suffix
    of_files = {known.suffix for known in FORMATS.values() if known.suffix}
    if suffix and path.suffix != suffix:
        raise ValueError(
            f"Argument `path` must end with {suffix} for the format {name!r}. "
            f"Received: path={str(path)!r}"
        )
    if not suffix and path.suffix in of_files:
        raise ValueError(
            f"Argument `path` must be a folder for the format {name!r}, not end with "
            f"{path.suffix}. Received: path={str(path)!r}"
        )


def check_exists(path: str | os.PathLike) -> None:
    """Raises a `FileNotFoundError` where nothing is there."""
    if not pathlib.Path(path).exists():
        raise FileNotFoundError(f"{path} does not exist: there is no export to verify")


def format_of(path: str | os.PathLike) -> str:
    """Returns the name of the format of a file or folder that is there.

    Raises:
        ValueError: Where it is of none of the formats by its name.
    """
    path = pathlib.Path(path)
    if path.is_dir():
        return "tf_saved_model"
    for name, known in FORMATS.items():
        if known.suffix and path.suffix == known.suffix:
            return name
    raise ValueError(
        "Argument `format` must be given for a path whose end does not tell it. "
        f"Received: path={str(path)!r}"
    )
