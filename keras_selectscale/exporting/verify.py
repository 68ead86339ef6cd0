"""The proof of an export, on the file that was written."""

import contextlib
import os
import pathlib
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np

from keras_selectscale.exporting import comparison
from keras_selectscale.exporting.export_report import ExportReport
from keras_selectscale.exporting.exported_file import ExportedFile
from keras_selectscale.exporting.format import Format
from keras_selectscale.exporting.formats import (
    FORMATS,
    as_held,
    check_exists,
    format_of,
    get_format,
)
from keras_selectscale.exporting.graph_nodes import forbidden
from keras_selectscale.exporting.inference import trace_inference
from keras_selectscale.exporting.keras_file import run_model
from keras_selectscale.exporting.signature import Signature, signature_of
from keras_selectscale.surgery.drop_kinds import all_layers, find_drops
from keras_selectscale.surgery.layer_copies import kept_states
from keras_selectscale.surgery.switching import drops_off


def verify_export(
    path: str | os.PathLike, model: keras.Model, *, format: str | None = None
) -> ExportReport:
    """Loads an exported file back and holds it against the model that it was made from.

    It looks at every node of the graph, its functions, subgraphs and loop bodies included, at every
    variable in the file, and at its outputs on random inputs, which it computes as the file's
    consumers do: with `tf.saved_model.load`, onnxruntime, LiteRT or Keras. The model stands for its
    inference without drops: a drop that it calls with `training=True` counts as one that should be
    gone. A weight that is there more than once, as `model.export` of Keras writes it, is no reason
    to fail here, as it is in `export`: `report.variables` and `report.bytes` tell. An ONNX or
    LiteRT file, which is of float32, is held against the model in float32.

    Args:
        path: The file, or the folder of a SavedModel, written by this package or by another way.
        model: The model, built.
        format: `"tf_saved_model"`, `"onnx"`, `"litert"` or `"keras"`; by default what the path is.

    Returns:
        What was found. `report.passed` says whether the file is the model's inference without a
        trace of a drop, and `report.reasons` why it is not; a bad export raises nothing.

    Raises:
        TypeError: Where `model` is no Keras model.
        ValueError: Where it is not built, or the format is not of this backend, or unknown.
        ImportError: Where a package is missing that the format needs.
        FileNotFoundError: Where the path does not exist.

    Example:

    ```python
    report = verify_export("network.onnx", model)
    assert report.passed, report
    ```
    """
    check_exists(path)
    name = format or format_of(path)
    kind = get_format(name)
    signature_of(model)  # Refuses what is no built model.
    model = as_held(model, name)
    return prove(pathlib.Path(path), model, signature_of(model), kind, once=False)


def prove(
    path: pathlib.Path,
    model: keras.Model,
    signature: Signature,
    kind: Format,
    *,
    once: bool = True,
) -> ExportReport:
    """Returns what `verify_export` does, of checked arguments.

    Args:
        path: The file or folder.
        model: The model.
        signature: What the model takes.
        kind: The format.
        once: Whether every weight must be there only once.
    """
    name = next(name for name, known in FORMATS.items() if known is kind)
    reasons: list[str] = []
    random_nodes: tuple[str, ...] = ()
    largest = float("inf")
    file: ExportedFile | None = None
    with _on_cpu():
        with _unchanged(model):
            batches, expected, weights, model_nodes = _reference(model, signature, kind)
        try:
            file = kind.read(path)
        except Exception as error:  # Whatever is wrong with it.
            reasons.append(f"It cannot be read: {_line(error)}")
        if file is not None:
            reasons += file.reasons
            random_nodes = forbidden(file.nodes, model_nodes) if file.drops is None else file.drops
            if random_nodes:
                reasons.append(f"It draws, selects or drops: {', '.join(random_nodes)}.")
            if file.weights is not None:
                reasons += _other_weights(file.weights, weights, once=once)
            try:
                largest = comparison.largest_difference(file.load(), signature, batches, expected)
            except Exception as error:  # It does not load or run, or has other inputs or outputs.
                reasons.append(f"It does not run: {_line(error)}")
            else:
                if largest > kind.tolerance:
                    reasons.append(f"Its outputs differ from the model's by {largest:g}.")
    return ExportReport(
        path=str(path),
        format=name,
        bytes=_size(path),
        weights_bytes=sum(weight.nbytes for weight in weights),
        nodes=len(file.nodes) if file else 0,
        random_nodes=random_nodes,
        variables=len(file.weights or {}) if file else 0,
        largest_difference=largest,
        tolerance=kind.tolerance,
        reasons=tuple(reasons),
    )


def _reference(model: keras.Model, signature: Signature, kind: Format) -> tuple:
    """Returns random inputs, the model's outputs, its weights and the nodes of its graph."""
    if kind.on_tensorflow:
        inference = trace_inference(model, signature)
        weights, nodes = inference.weights(model), inference.nodes()
        run = inference.run
    else:
        counts = {id(weight) for drop in find_drops(model) for weight in drop.weights}
        weights = [
            keras.ops.convert_to_numpy(weight.value)
            for weight in model.weights
            if id(weight) not in counts
        ]
        nodes = []

        def run(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
            with drops_off(model):
                return run_model(model, signature, inputs)

    error: Exception | None = None
    for batches in comparison.made_up_inputs(signature):
        try:
            return batches, [run(batch) for batch in batches], weights, nodes
        except Exception as raised:  # Too small for its strides, too long for its positions, ….
            error = raised
    raise ValueError(
        f"Argument `model` must run on random inputs. Received: model={model!r}, which fails: "
        f"{_line(error)}"
    )


def _other_weights(
    theirs: Mapping[str, np.ndarray], ours: list[np.ndarray], *, once: bool
) -> list[str]:
    """Returns what is wrong with the variables of a file, a sentence each."""
    wanted = Counter(map(_content, ours))
    twice: list[str] = []
    others: list[str] = []
    left = wanted.copy()
    for name, value in theirs.items():
        key = _content(value)
        if left[key] > 0:
            left[key] -= 1
        else:
            (twice if key in wanted else others).append(f"{name} {list(value.shape)}")
    reasons = []
    if missing := sum(left.values()):
        reasons.append(f"It lacks {missing} of the {len(ours)} weights of the model.")
    if others:
        reasons.append(f"It holds variables that are no weights of the model: {_few(others)}.")
    if twice and once:
        reasons.append(f"It holds weights more than once: {_few(twice)}.")
    return reasons


def _content(value: np.ndarray) -> tuple[Any, ...]:
    return (str(value.dtype), value.shape, value.tobytes())


def _few(names: list[str]) -> str:
    rest = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + rest


def _line(error: Exception | None) -> str:
    words = " ".join(str(error).split())
    return f"{type(error).__name__}: {words[:300]}{'…' if len(words) > 300 else ''}"


def _size(path: pathlib.Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


@contextlib.contextmanager
def _unchanged(model: keras.Model) -> Iterator[None]:
    """Gives a model its state back: a stateful recurrent layer goes on with every call."""
    states = [state for layer in all_layers(model) for state in kept_states(layer)]
    variables = [*model.non_trainable_variables, *states]
    # Values of their own: on PyTorch an array shares the memory of its tensor.
    before = [(v, np.array(keras.ops.convert_to_numpy(v.value))) for v in variables]
    try:
        yield
    finally:
        for variable, value in before:
            variable.assign(value)


def _on_cpu() -> contextlib.AbstractContextManager:
    """Keeps both sides on the CPU, where equal graphs give equal bits."""
    if keras.backend.backend() != "tensorflow":
        return contextlib.nullcontext()
    import tensorflow as tf

    return tf.device("CPU:0")
