"""Exports of models, proved on the written file."""

import dataclasses
import os
import pathlib
import tempfile

import keras

from keras_selectscale.exporting.export_error import ExportError
from keras_selectscale.exporting.export_report import ExportReport
from keras_selectscale.exporting.format import Format
from keras_selectscale.exporting.formats import (
    as_held,
    check_suffix,
    get_format,
)
from keras_selectscale.exporting.signature import signature_of
from keras_selectscale.exporting.verify import prove

# What TensorFlow writes into a SavedModel's folder.
OF_SAVED_MODELS = {
    "saved_model.pb",
    "fingerprint.pb",
    "keras_metadata.pb",
    "variables",
    "assets",
    "assets.extra",
}


def export(
    model: keras.Model,
    path: str | os.PathLike,
    format: str = "tf_saved_model",
    *,
    overwrite: bool = False,
) -> ExportReport:
    """Writes a model for inference, without a trace of its drops, and proves it on the file.

    The drops of this package and of Keras are gone, those that the model calls with
    `training=True` too, and with them their seed states and counts; so are the optimizer's slots;
    the weights are there once. The batch size is free, and inputs and outputs have names: the keys
    of dicts, the names of `keras.Input` and of output layers, else `inputs`, `input_0`,
    `output_0`, ….

    | format | path | takes | outputs |
    | --- | --- | --- | --- |
    | `"tf_saved_model"` | a folder | every model, on TensorFlow | equal the model's to the bit |
    | `"onnx"` | `*.onnx` | every model, in float32, on TensorFlow | within 1e-5 |
    | `"litert"` | `*.tflite` | every model, in float32, on TensorFlow | within 1e-5 |
    | `"keras"` | `*.keras` | Functional and Sequential models, and others without drops, on every
    backend | equal the model's to the bit |

    ONNX and LiteRT files compute in float32. A Functional or Sequential model of a mixed policy is
    held against itself in float32, its weights the same; a subclassed one is refused.

    The file is written beside its place, loaded back by its own consumer and held against the model
    (see `verify_export`), and only then renamed: a failure leaves what was there.

    Args:
        model: A built model: Functional, Sequential, nested, or subclassed and called once.
        path: The file or folder to be made, in a folder that is there.
        format: `"tf_saved_model"`, `"onnx"`, `"litert"` or `"keras"`.
        overwrite: Whether a file or SavedModel that is there may be replaced.

    Returns:
        What the proof found.

    Raises:
        TypeError: Where `model` is no Keras model.
        ValueError: Where it is not built, an argument is none of its values, the path does not end
            as the format's do, or the model or backend is none that the format takes.
        ImportError: Where a package is missing that the format needs.
        FileExistsError: Where the path exists.
        FileNotFoundError: Where its folder does not.
        ExportError: Where the format cannot hold the model, or the file did not pass the proof.

    Example:

    ```python
    report = export(model, "network.onnx", format="onnx")
    print(report)
    ```
    """
    path = pathlib.Path(path)
    kind = get_format(format)
    check_suffix(path, format)
    _check_place(path, kind, overwrite=overwrite)
    signature_of(model)  # Refuses what is no built model.
    model = as_held(model, format)
    signature = signature_of(model)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
        # Its own name, since Keras and the converters look at the end.
        beside = pathlib.Path(folder) / "new" / path.name
        beside.parent.mkdir()
        kind.write(model, signature, beside)
        report = dataclasses.replace(prove(beside, model, signature, kind), path=str(path))
        if not report.passed:
            reasons = " ".join(report.reasons).replace(str(beside), str(path))
            raise ExportError(f"the export to {path} did not pass its proof: {reasons}", report)
        _put(beside, path, pathlib.Path(folder) / "old")
    return report


def _check_place(path: pathlib.Path, kind: Format, *, overwrite: bool) -> None:
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path.parent} is no folder: make it first, or choose another")
    if not os.path.lexists(path):
        return
    if not overwrite:
        raise FileExistsError(f"{path} exists: choose another path, or say overwrite=True")
    # A slip of the path must not cost a folder of other things.
    if not (path.is_file() if kind.suffix else path.is_dir()):
        raise FileExistsError(
            f"{path} exists and is no {'file' if kind.suffix else 'SavedModel'}: it is not replaced"
        )
    inside = [] if kind.suffix else sorted(entry.name for entry in path.iterdir())
    if others := [name for name in inside if name not in OF_SAVED_MODELS]:
        raise FileExistsError(
            f"{path} exists and holds what is of no SavedModel ({', '.join(others[:3])}): it is "
            "not replaced"
        )


def _put(new: pathlib.Path, path: pathlib.Path, old: pathlib.Path) -> None:
    """Puts what was written in its place; what was there goes, or comes back."""
    if not path.is_dir():
        os.replace(new, path)
        return
    os.replace(path, old)
    try:
        os.replace(new, path)
    except BaseException:
        os.replace(old, path)
        raise
