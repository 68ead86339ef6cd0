"""Exports models and verifies the written files."""

import dataclasses
import os
import pathlib
import tempfile
import warnings
from collections.abc import Sequence

import keras

from keras_selectscale.argument_names import named_arguments
from keras_selectscale.exporting.formats import Format, check_suffix, get_format
from keras_selectscale.exporting.proof import as_held, prove
from keras_selectscale.exporting.report import ExportError, ExportReport
from keras_selectscale.exporting.signature import signature_of
from keras_selectscale.exporting.tensorflow_process import write_on_tensorflow
from keras_selectscale.files import disk_errors
from keras_selectscale.object_checks import as_boolean, as_path

# The files that TensorFlow writes into the folder of a SavedModel.
OF_SAVED_MODELS = {
    "saved_model.pb",
    "fingerprint.pb",
    "keras_metadata.pb",
    "variables",
    "assets",
    "assets.extra",
}


@named_arguments
def export(
    model: keras.Model,
    path: str | os.PathLike,
    format: str = "tf_saved_model",
    *,
    overwrite: bool = False,
    safe_mode: bool = True,
) -> ExportReport:
    """Writes a model for inference, without a trace of its drops, and verifies the file.

    The file contains no drops of this package or of Keras, not even those that the model calls with
    `training=True`, and none of their seed states and counters. It contains no optimizer slots, and
    each weight once. The batch size is free, and inputs and outputs have names: the keys of dicts,
    the names of `keras.Input` and of output layers, or `inputs`, `input_0`, `output_0`, ….

    | format | path | takes | outputs |
    | --- | --- | --- | --- |
    | `"tf_saved_model"` | a folder | every model, on TensorFlow | equal to the bit |
    | `"onnx"` | `*.onnx` | every model, in float32, on TensorFlow | within float32 noise |
    | `"litert"` | `*.tflite` | every model, in float32, on TensorFlow | within float32 noise |
    | `"openvino"` | `*.xml` | every model, in float32, on TensorFlow | within float32 noise |
    | `"keras"` | `*.keras` | Functional, Sequential, others without drops | equal to the bit |

    On JAX and PyTorch, TensorFlow writes and verifies the first four in a separate process, which
    takes some seconds to start. It must be installed, and loads the stripped model from a `.keras`
    file; the report compares the outputs of the file with those on the own backend, too.

    ONNX, LiteRT and OpenVINO files compute in float32. A Functional or Sequential model with a
    mixed policy or in float64 is exported and verified in float32, with a notice in the report and
    a warning. A subclassed one is refused.

    The file is written under a temporary name, loaded by its own consumer, compared with the model
    (see `verify_export`) and only then renamed. A failure changes nothing.

    Args:
        model: A built model: Functional, Sequential, nested, or subclassed and called once.
        path: The file or folder to create, in an existing folder.
        format: `"tf_saved_model"`, `"onnx"`, `"litert"`, `"openvino"` or `"keras"`.
        overwrite: Whether an existing file or SavedModel may be replaced.
        safe_mode: Whether to refuse a `.keras` file that holds Python code, such as the lambda of
            a `Lambda` layer. Such a file loads only with `safe_mode=False`, which runs that code;
            pass `False` if the model is yours or you trust its source.

    Returns:
        An `ExportReport`.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If the model is not built, a value is invalid, the path does not have the ending
            of the format, or the format cannot hold such a model.
        ImportError: If a package is missing that the format needs.
        FileExistsError: If the path exists.
        FileNotFoundError: If its folder does not exist.
        ExportError: If the format cannot hold the model, or the file did not pass verification.
        OSError: If the file cannot be written, such as on a full disk.

    Example:

    ```python
    report = export(model, "network.onnx", format="onnx")
    print(report)
    ```
    """
    path = as_path("path", path)
    as_boolean("overwrite", overwrite)
    as_boolean("safe_mode", safe_mode)
    kind = get_format(format)
    check_suffix(path, kind)
    _check_place(path, kind, overwrite=overwrite)
    model, notices = as_held(model, kind)
    if refusal := kind.refusal(model):
        raise ExportError(f"the format {format!r} cannot hold this model: {refusal}")
    signature = signature_of(model)
    with (
        disk_errors(path),
        tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder,
    ):
        # The file has its final name, because Keras and the converters use the ending.
        beside = pathlib.Path(folder) / "new" / path.name
        beside.parent.mkdir()
        if kind.is_written_elsewhere:
            report = write_on_tensorflow(beside, model, signature, kind, notices=notices)
        else:
            kind.write(model, signature, beside)
            report = prove(beside, model, signature, kind, safe_mode=safe_mode, notices=notices)
        report = dataclasses.replace(report, path=str(path))
        if not report.passed:
            if report.largest_difference > report.tolerance and (why := kind.explanation(model)):
                report = dataclasses.replace(report, reasons=(*report.reasons, why))
            reasons = " ".join(report.reasons).replace(str(beside), str(path))
            raise ExportError(f"the export to {path} did not pass its proof: {reasons}", report)
        _put([beside, *kind.companions(beside)], path.parent, pathlib.Path(folder) / "old")
    for notice in notices:
        warnings.warn(f"{path}: {notice}", stacklevel=2)
    return report


def _check_place(path: pathlib.Path, kind: Format, *, overwrite: bool) -> None:
    if not path.parent.is_dir():
        raise FileNotFoundError(
            f"{path.parent} is not a folder: create it first, or choose another"
        )
    there = [each for each in (path, *kind.companions(path)) if os.path.lexists(each)]
    if not there:
        return
    if not overwrite:
        raise FileExistsError(f"{there[0]} exists: choose another path, or pass overwrite=True")
    # A mistyped path must not delete a folder of other files.
    for each in there:
        if not (each.is_file() if kind.suffix else each.is_dir()):
            expected = "file" if kind.suffix else "SavedModel"
            raise FileExistsError(f"{each} exists and is not a {expected}: it is not replaced")
    inside = [] if kind.suffix else sorted(entry.name for entry in path.iterdir())
    if others := [name for name in inside if name not in OF_SAVED_MODELS]:
        raise FileExistsError(
            f"{path} exists and holds files that are not of a SavedModel "
            f"({', '.join(others[:3])}): it is not replaced"
        )


def _put(new: Sequence[pathlib.Path], folder: pathlib.Path, old: pathlib.Path) -> None:
    """Moves the new files to their places, and restores the old ones if that fails."""
    old.mkdir()
    moved: list[pathlib.Path] = []
    try:
        for file in new:
            place = folder / file.name
            if os.path.lexists(place):
                os.replace(place, old / file.name)
            moved.append(place)
            os.replace(file, place)
    except BaseException:
        for place in moved:
            if os.path.lexists(old / place.name):
                os.replace(old / place.name, place)
            elif os.path.lexists(place):
                place.unlink()
        raise
