"""Exports that TensorFlow writes or verifies in a separate process, for models of other backends.

The model goes there without its drops, in a `.keras` file, with random inputs and its outputs.
"""

import dataclasses
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_selectscale.exporting import comparison
from keras_selectscale.exporting.formats import FORMATS, Format
from keras_selectscale.exporting.inference import trace_inference
from keras_selectscale.exporting.keras_file import write_keras
from keras_selectscale.exporting.proof import line_of, prove, reference, unchanged
from keras_selectscale.exporting.report import ExportError, ExportReport
from keras_selectscale.exporting.signature import Signature, signature_of
from keras_selectscale.surgery.drop_kinds import all_layers

MAIN = (
    "import sys; import keras_selectscale.exporting; "
    "from keras_selectscale.exporting.tensorflow_process import main; main(sys.argv[1])"
)
MODEL, VALUES, REQUEST, ANSWER = "model.keras", "values.npz", "request.json", "answer.json"
# Two backends never compute the same bits.
SMALLEST_TOLERANCE = 1e-5
# What to do about a model that the process cannot create.
INSTEAD = (
    "save its weights (`model.save_weights`), run your code under KERAS_BACKEND=tensorflow, load "
    "them there and export"
)


class _UnknownClass(Exception):
    """A file has a class or function, whose name is the message, that the process cannot import."""


def write_on_tensorflow(
    path: pathlib.Path,
    model: keras.Model,
    signature: Signature,
    kind: Format,
    *,
    notices: Sequence[str] = (),
) -> ExportReport:
    """Writes a file and returns the report about it. The arguments are those of `prove`.

    Raises:
        ExportError: If the model cannot be handed over, or the format cannot hold it.
        OSError: If the file cannot be written.
    """
    return _ask(path, model, signature, kind, write=True, safe_mode=True, notices=notices)


def prove_on_tensorflow(
    path: pathlib.Path,
    model: keras.Model,
    signature: Signature,
    kind: Format,
    *,
    once: bool = False,
    safe_mode: bool = True,
    notices: Sequence[str] = (),
) -> ExportReport:
    """Returns the report about a file that exists. The arguments are those of `prove`.

    Raises:
        ExportError: If the model cannot be handed over.
    """
    return _ask(path, model, signature, kind, write=False, safe_mode=safe_mode, notices=notices)


def _ask(
    path: pathlib.Path,
    model: keras.Model,
    signature: Signature,
    kind: Format,
    *,
    write: bool,
    safe_mode: bool,
    notices: Sequence[str],
) -> ExportReport:
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        with unchanged(model):
            _, batches, expected, _ = reference(model, signature, kind)
        try:
            write_keras(model, signature, folder / MODEL)
        except (ValueError, TypeError, NotImplementedError) as error:
            raise ExportError(
                f"TensorFlow writes {kind.name!r} in a separate process, from a .keras file, which "
                f"this model does not make: {INSTEAD}. Reason: {line_of(error)}"
            ) from error
        arrays = {
            f"{role} {number} {key}": value
            for role, groups in (("input", batches), ("output", expected))
            for number, group in enumerate(groups)
            for key, value in group.items()
        }
        np.savez(folder / VALUES, **arrays)
        request = {
            "path": str(path.absolute()),
            "format": kind.name,
            "write": write,
            "safe_mode": safe_mode,
            "notices": list(notices),
            "backend": keras.backend.backend(),
            "batches": len(batches),
        }
        (folder / REQUEST).write_text(json.dumps(request), encoding="utf-8")
        answer = _run(folder, kind)
        if unknown := answer.get("unknown"):
            owners = [each for each in all_layers(model) if type(each).__name__ == unknown]
            what = f"the class of {owners[0].name!r}, {unknown!r}" if owners else repr(unknown)
            raise ExportError(
                f"TensorFlow writes {kind.name!r} in a separate process, which does not know "
                f"{what}: {INSTEAD}"
            )
        return _report(answer, str(path))


def _run(folder: pathlib.Path, kind: Format) -> dict[str, Any]:
    """Runs the process and returns its answer."""
    environment = {
        **os.environ,
        "KERAS_BACKEND": "tensorflow",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        # The accelerator belongs to the backend of this process.
        "CUDA_VISIBLE_DEVICES": "-1",
        "PYTHONPATH": os.pathsep.join(each for each in sys.path if each),
    }
    done = subprocess.run(
        [sys.executable, "-c", MAIN, str(folder)],
        env=environment,
        capture_output=True,
        text=True,
        errors="replace",
    )
    if not (folder / ANSWER).exists():
        last = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
        raise ExportError(f"the process that writes the format {kind.name!r} ended: {last[:300]}")
    return json.loads((folder / ANSWER).read_text(encoding="utf-8"))


def _report(answer: dict[str, Any], path: str) -> ExportReport:
    if "errno" in answer:
        raise OSError(answer["errno"], answer["message"])
    if "message" in answer:
        raise ExportError(answer["message"])
    values: dict[str, Any] = {
        key: tuple(v) if isinstance(v, list) else v for key, v in answer.items()
    }
    del values["passed"]
    for name in ("largest_difference", "tolerance"):
        values[name] = float(values[name])
    return dataclasses.replace(ExportReport(**values), path=path)


def main(place: str) -> None:
    """Runs in the other process, on TensorFlow: answers the request in a folder."""
    folder = pathlib.Path(place)
    request = json.loads((folder / REQUEST).read_text(encoding="utf-8"))
    try:
        answer = _answer(folder, request)
    except _UnknownClass as error:
        answer = {"unknown": str(error)}
    except ExportError as error:
        full = error.__cause__ if isinstance(error.__cause__, OSError) else None
        answer = {"message": " ".join(str(error).split())}
        if full is not None and full.errno is not None:
            answer |= {"errno": full.errno, "message": full.strerror}
    except OSError as error:
        answer = {"errno": error.errno, "message": error.strerror or str(error)}
    except Exception as error:
        answer = {"message": f"TensorFlow cannot take over this model: {line_of(error)}"}
    (folder / ANSWER).write_text(json.dumps(answer), encoding="utf-8")


def _answer(folder: pathlib.Path, request: dict[str, Any]) -> dict[str, Any]:
    kind, path = FORMATS[request["format"]], pathlib.Path(request["path"])
    # This package has just written the file, so its code is that of the caller.
    try:
        model = keras.models.load_model(folder / MODEL, compile=False, safe_mode=False)
    except Exception as error:
        if unknown := re.search(r"Could not locate (?:class|function) '(\w+)'", str(error)):
            raise _UnknownClass(unknown[1]) from None
        raise
    signature = signature_of(model)
    if request["write"]:
        kind.write(model, signature, path)
    report = prove(
        path,
        model,
        signature,
        kind,
        once=request["write"],
        safe_mode=request["safe_mode"],
        notices=request["notices"],
    )
    if report.largest_difference < float("inf"):
        report = _compared(report, model, signature, kind, path, folder, request)
    return report.as_json()


def _compared(
    report: ExportReport,
    model: keras.Model,
    signature: Signature,
    kind: Format,
    path: pathlib.Path,
    folder: pathlib.Path,
    request: dict[str, Any],
) -> ExportReport:
    """Returns the report with the comparison with the outputs on the other backend."""
    backend = request["backend"]
    with np.load(folder / VALUES) as arrays:
        values = {key: arrays[key] for key in arrays.files}
    batches, expected = (
        [
            {key.split(" ", 2)[2]: v for key, v in values.items() if key.startswith(f"{role} {n} ")}
            for n in range(request["batches"])
        ]
        for role in ("input", "output")
    )
    consumer = kind.read(path, request["safe_mode"]).load()
    apart = comparison.largest_difference(consumer, signature, batches, expected)
    tolerance = max(SMALLEST_TOLERANCE, report.tolerance)
    if tolerance < apart < float("inf"):
        inference = trace_inference(model, signature)
        own = [inference.run(batch) for batch in batches]
        tolerance = comparison.tolerance_of(inference, model, batches, own, tolerance)
    where = f"differ from those of the model on {backend} by"
    if apart > tolerance:
        reason = f"Its outputs {where} {apart:g}, more than {tolerance:g}."
        return dataclasses.replace(report, reasons=(*report.reasons, reason))
    notice = f"TensorFlow handled it in a separate process; its outputs {where} {apart:g}."
    return dataclasses.replace(report, notices=(*report.notices, notice))
