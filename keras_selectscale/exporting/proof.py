"""The proof of a file: what is in it, and whether its outputs are those of the model."""

import contextlib
import pathlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from keras_selectscale.checks import shown
from keras_selectscale.exporting import comparison
from keras_selectscale.exporting.formats import ExportedFile, Format
from keras_selectscale.exporting.graph_nodes import forbidden
from keras_selectscale.exporting.inference import Inference, run_model, trace_inference
from keras_selectscale.exporting.keras_file import saved_weights
from keras_selectscale.exporting.report import ExportReport
from keras_selectscale.exporting.signature import Signature, signature_of
from keras_selectscale.surgery.drop_kinds import all_layers
from keras_selectscale.surgery.layer_copies import kept_states
from keras_selectscale.surgery.strip import in_float32
from keras_selectscale.surgery.switching import drops_off
from keras_selectscale.wording import counted


def as_held(model: keras.Model, kind: Format) -> tuple[keras.Model, tuple[str, ...]]:
    """Returns the model as the format holds it: itself or a copy that computes in float32.

    Returns:
        The model, and a notice if its precision differs.

    Raises:
        TypeError: If `model` is not a Keras model.
        ValueError: If it is not built; or if the format holds only float32 models, and the model
            computes in another precision and has no graph to copy.
    """
    signature_of(model)  # Refuses a model that is not built.
    if not kind.in_float32:
        return model, ()
    dtypes = {str(layer.compute_dtype) for layer in all_layers(model)}
    others = sorted(dtypes & {"bfloat16", "float16", "float64"})
    if not others:
        return model, ()
    try:
        held = in_float32(model)
    except ValueError as error:
        raise ValueError(
            f"Argument `format` must be 'tf_saved_model' or 'keras' for this model, which computes "
            f"in {others[0]}: {kind.name} holds models of float32. Build it under "
            "keras.config.set_dtype_policy('float32') and give it these weights. "
            f"Received: format={kind.name!r} ({error})"
        ) from error
    return held, (f"The model computes in {', '.join(others)}, the file in float32.",)


def prove(
    path: pathlib.Path,
    model: keras.Model,
    signature: Signature,
    kind: Format,
    *,
    once: bool = True,
    safe_mode: bool = True,
    notices: Sequence[str] = (),
) -> ExportReport:
    """Returns the report of `verify_export`; the arguments have been checked.

    Args:
        path: The file or folder.
        model: The model as the format holds it.
        signature: Signature of the model.
        kind: The format.
        once: Whether each weight must be in the file only once.
        safe_mode: Whether to refuse Python code in the file.
        notices: Notices to add to the report.
    """
    reasons: list[str] = []
    random_nodes: tuple[str, ...] = ()
    largest, tolerance = float("inf"), kind.tolerance
    file: ExportedFile | None = None
    with _on_cpu():
        with unchanged(model):
            inference, batches, expected, weights = reference(model, signature, kind)
        try:
            file = kind.read(path, safe_mode)
        except Exception as error:  # Anything may be wrong with the file.
            reasons.append(f"It cannot be read: {line_of(error)}")
        if file is not None:
            reasons += file.reasons
            random_nodes = (
                forbidden(file.nodes, inference.nodes()) if inference else file.drops or ()
            )
            if random_nodes:
                reasons.append(f"It draws, selects or drops: {', '.join(random_nodes)}.")
            if file.weights is not None:
                reasons += _other_weights(file.weights, weights, once=once)
            try:
                largest = comparison.largest_difference(file.load(), signature, batches, expected)
            except Exception as error:  # It does not load or run, or has other inputs or outputs.
                reasons.append(f"It does not run: {line_of(error)}")
            else:
                if inference and 0.0 < tolerance < largest < float("inf"):
                    with unchanged(model):
                        tolerance = comparison.tolerance_of(
                            inference, model, batches, expected, tolerance
                        )
                if largest > tolerance:
                    reasons.append(
                        f"Its outputs differ from the model's by {largest:g}, more than "
                        f"{tolerance:g}."
                    )
    return ExportReport(
        path=str(path),
        format=kind.name,
        bytes=size_of(path, kind),
        weights_bytes=sum(weight.nbytes for weight in weights),
        nodes=len(file.nodes) if file else 0,
        random_nodes=random_nodes,
        variables=len(file.weights or {}) if file else 0,
        largest_difference=largest,
        tolerance=tolerance,
        reasons=tuple(reasons),
        notices=tuple(notices),
    )


def reference(
    model: keras.Model, signature: Signature, kind: Format
) -> tuple[Inference | None, list, list, list[np.ndarray]]:
    """Returns the graph of the model, random inputs, its outputs and its weights.

    The graph is `None` for a format that any backend can write, and on another backend than
    TensorFlow.
    """
    inference = None
    if kind.on_tensorflow and not kind.is_written_elsewhere:
        inference = trace_inference(model, signature)
        weights = [variable.numpy() for variable in inference.variables(model)]
        run = inference.run
    else:
        weights = list(saved_weights(model).values())

        def run(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
            with drops_off(model):
                return run_model(model, signature, inputs)

    error: Exception | None = None
    for batches in comparison.made_up_inputs(signature):
        try:
            return inference, batches, [run(batch) for batch in batches], weights
        except Exception as raised:  # Too small for its strides, too long for its positions, ….
            error = raised
    raise ValueError(
        f"Argument `model` must run on random inputs. Received: model={shown(model)}, which fails: "
        f"{line_of(error)}"
    )


def _other_weights(
    theirs: Mapping[str, np.ndarray], ours: list[np.ndarray], *, once: bool
) -> list[str]:
    """Returns the faults of the variables of a file, one sentence each."""
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
        reasons.append(f"It lacks {missing} of the {counted(len(ours), 'weight')} of the model.")
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


def line_of(error: Exception | None) -> str:
    """Returns an error with its type as one line of at most about 300 characters."""
    words = " ".join(str(error).split())
    return f"{type(error).__name__}: {words[:300]}{'…' if len(words) > 300 else ''}"


def size_of(path: pathlib.Path, kind: Format) -> int:
    """Returns the bytes of a file with its companions, or of a folder."""
    files = path.rglob("*") if path.is_dir() else [path, *kind.companions(path)]
    return sum(file.stat().st_size for file in files if file.is_file())


@contextlib.contextmanager
def unchanged(model: keras.Model) -> Iterator[None]:
    """Restores the state of a model: a stateful recurrent layer changes it with every call."""
    states = [state for layer in all_layers(model) for state in kept_states(layer)]
    variables = [*model.non_trainable_variables, *states]
    # Copies, because on PyTorch an array shares the memory of its tensor.
    before = [(v, np.array(keras.ops.convert_to_numpy(v.value))) for v in variables]
    try:
        yield
    finally:
        for variable, value in before:
            variable.assign(value)


def _on_cpu() -> contextlib.AbstractContextManager:
    """Keeps both sides on the CPU, where equal graphs return equal bits."""
    if keras.backend.backend() != "tensorflow":
        return contextlib.nullcontext()
    import tensorflow as tf

    return tf.device("CPU:0")
