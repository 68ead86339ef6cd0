"""The graph of a Functional or Sequential model: its calls, their data formats and their shapes.

Keras has no public interface to an existing graph. These private names are used only here:

- `Layer._flatten_layers` returns all layers inside a layer. `Model.layers` returns only the topmost
  ones, and other layers have no public property.
- `Layer._trainable` is the flag of one layer. The setter of `trainable` also changes the layers
  inside.
- `Sequential._functional` is the graph of a built Sequential model. `keras.Model(model.inputs,
  model.outputs)` would be another model with other nodes.
- `Function._nodes_by_depth` and `KerasTensor._keras_history` are the calls and their operations.
  `Function.operations` does not contain how often and on which tensors an operation is called.

`TRAINING_ATTRIBUTES` lists further private names, only to leave them out of a copy.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import keras

from keras_selectscale.checks import shown

# Replaces an unknown size where only the ratio of resolutions matters.
STAND_IN_SIZE = 256
# Layers whose `data_format` is that of their maps. That of other layers proves nothing: a padding
# layer with the other format pads the channels.
WITH_FORMAT = tuple(
    getattr(keras.layers, f"{kind}{rank}D")
    for kind, ranks in (
        ("Conv", (1, 2, 3)),
        ("DepthwiseConv", (1, 2)),
        ("SeparableConv", (1, 2)),
        ("AveragePooling", (1, 2, 3)),
        ("MaxPooling", (1, 2, 3)),
    )
    for rank in ranks
) + tuple(getattr(keras.layers, f"Conv{rank}DTranspose") for rank in (1, 2, 3))
# After these operations, the channels may be on any axis.
MOVES_AXES = ("Permute", "Reshape", "Transpose", "Moveaxis", "Swapaxes")
# Attribute in which `mc_predict` keeps the function that it has traced for a model.
ACTIVE_FUNCTION = "_keras_selectscale_active_function"
# Attributes that compiling, fitting, predicting and saving add to a model, on any backend.
TRAINING_ATTRIBUTES = {
    ACTIVE_FUNCTION,
    *("compiled", "loss", "optimizer", "history", "steps_per_execution", "jit_compile"),
    *("stop_training", "stop_evaluating", "stop_predicting", "run_eagerly"),
    *("train_function", "test_function", "predict_function", "unrolled_steps_per_execution"),
    *("_compile_config", "_compile_loss", "_compile_metrics", "_compiled_trainable_state"),
    *("_compute_loss_has_training_arg", "_distribute_reduction_method", "_distribute_strategy"),
    *("_distributed_dataset", "_eval_epoch_iterator", "_initial_epoch", "_jax_state"),
    *("_jax_state_synced", "_jit_compile", "_run_eagerly", "_loss_tracker", "_losses_override"),
    *("_auto_config", "_build_shapes_dict", "_torch_params", "torch_params"),
    *("_saved_model_inputs_spec", "_saved_model_arg_spec"),
}


def sublayers(layer: keras.Layer) -> list[keras.Layer]:
    """Returns the layers that `layer` holds directly."""
    return list(layer._flatten_layers(include_self=False, recursive=False))


def layer_pairs(original: keras.Layer, twin: keras.Layer) -> list[tuple[Any, Any]]:
    """Returns a layer and every layer inside, each with its copy in `twin`."""
    return list(zip(original._flatten_layers(), twin._flatten_layers(), strict=False))


def copy_flag(original: keras.Layer, twin: keras.Layer) -> None:
    """Gives `twin` the trainable flag of `original`, and leaves the layers inside alone."""
    twin._trainable = original.trainable


def is_model(operation: Any) -> bool:
    """Returns whether `operation` is a Functional or Sequential model."""
    return isinstance(operation, keras.Model) and isinstance(
        operation, (keras.Function, keras.Sequential)
    )


def keras_class(model: keras.Model) -> Any:
    """Returns the Keras class of a model: Functional or Sequential."""
    name = "Sequential" if isinstance(model, keras.Sequential) else "Functional"
    return next(
        kind
        for kind in type(model).__mro__
        if kind.__name__ == name and "_rebuilt_class" not in vars(kind) and is_keras_own(kind)
    )


def is_keras_own(kind: type) -> bool:
    """Returns whether a class comes from Keras."""
    return kind.__module__.split(".")[0] == "keras"


def attributes(model: keras.Model) -> dict[str, Any]:
    """Returns the attributes of a model in the order in which they were set."""
    # PyTorch stores layers separately from other attributes.
    found = {**vars(model), **vars(model).get("_modules", {})}
    return {name: value for name, value in found.items() if not name.startswith("_self_")}


def functional(model: keras.Model) -> Any:
    """Returns the Functional model of `model`: itself, or the one that a Sequential model built."""
    return model._functional if isinstance(model, keras.Sequential) else model


def nodes(model: keras.Model) -> list[Any]:
    """Returns the calls of the graph in an order of execution, without the inputs.

    A layer that is called several times has as many nodes.
    """
    by_depth = functional(model)._nodes_by_depth
    ordered = [node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth]]
    return [node for node in ordered if not node.is_input]


def operation_of(tensor: keras.KerasTensor) -> Any:
    """Returns the operation whose output `tensor` is."""
    return tensor._keras_history.operation


class Call(NamedTuple):
    """A call in the graph of a model.

    Attributes:
        model: The model in whose graph the call is, possibly a nested one.
        node: The node of the graph.
        path: Names that lead to the operation, joined by "/".
        number: Number of this call among those of the same operation in this graph, from 1.
        data_format: Data format of the output.
    """

    model: keras.Model
    node: Any
    path: str
    number: int
    data_format: str


def calls(model: keras.Model) -> Iterator[Call]:
    """Yields the calls in the order of execution; those in a nested model come before its own call.

    A nested model that is called several times is entered once.
    """
    yield from _calls(model, "", {}, set())


def _calls(model: keras.Model, prefix: str, formats: dict, seen: set) -> Iterator[Call]:
    numbers: dict[int, int] = {}
    for node in nodes(model):
        operation = node.operation
        path = f"{prefix}{operation.name}"
        if is_model(operation) and id(operation) not in seen:
            seen.add(id(operation))
            inner = functional(operation)
            _pass_on(formats, node.input_tensors, inner.inputs)
            yield from _calls(operation, f"{path}/", formats, seen)
            _pass_on(formats, inner.outputs, node.outputs)
        known = formats.get(id(node.outputs[0])) or _data_format(node, formats)
        for output in node.outputs:
            formats[id(output)] = known
        number = numbers[id(operation)] = numbers.get(id(operation), 0) + 1
        yield Call(model, node, path, number, known or keras.config.image_data_format())


def _pass_on(formats: dict, sources: list, targets: list) -> None:
    for source, target in zip(sources, targets, strict=False):
        formats[id(target)] = formats.get(id(source))


def _data_format(node: Any, formats: dict) -> str | None:
    operation, rank = node.operation, len(node.outputs[0].shape)
    if isinstance(operation, WITH_FORMAT):
        return operation.data_format
    if isinstance(
        operation, (keras.layers.BatchNormalization, keras.layers.GroupNormalization)
    ) and isinstance(operation.axis, int):
        if rank > 2 and operation.axis % rank in (1, rank - 1):
            return "channels_first" if operation.axis % rank == 1 else "channels_last"
    if type(operation).__name__ in MOVES_AXES:
        return None
    return next((formats[id(x)] for x in node.input_tensors if formats.get(id(x))), None)


def known_shapes(model: keras.Model) -> dict[int, tuple[int | None, ...]]:
    """Returns the shape of each tensor of the graph by its id, nested models included.

    Unknown sizes are computed from inputs whose own unknown sizes are replaced by 256. If a layer
    does not accept such an input, the tensors behind it are left out.
    """
    shapes: dict[int, tuple[int | None, ...]] = {}
    inputs = [_sized(x) for x in functional(model).inputs]
    _run(functional(model), inputs, shapes)
    return shapes


def _sized(x: Any) -> keras.KerasTensor:
    shape = (x.shape[0], *(STAND_IN_SIZE if size is None else size for size in x.shape[1:]))
    return keras.KerasTensor(shape, dtype=x.dtype)


def _run(model: Any, inputs: list, shapes: dict) -> None:
    tensors = {id(x): value for x, value in zip(model.inputs, inputs, strict=True)}
    shapes.update((key, tuple(value.shape)) for key, value in tensors.items())
    for node in nodes(model):
        if any(id(x) not in tensors for x in node.input_tensors):
            continue
        args, kwargs = node.arguments.fill_in(tensors)
        try:
            outputs = keras.tree.flatten(node.operation.compute_output_spec(*args, **kwargs))
        except Exception:  # The layer may require a certain size.
            continue
        if is_model(node.operation):
            inner = functional(node.operation)
            _run(inner, [tensors[id(x)] for x in node.input_tensors], shapes)
        for old, new in zip(node.outputs, outputs, strict=False):
            tensors[id(old)] = new
            shapes.setdefault(id(old), tuple(new.shape))


def check_rewritable(model: Any, path: str = "") -> None:
    """Raises an error if the graph of `model`, or of a model inside, is not all that it computes.

    Args:
        model: What the user passed.
        path: Path of a nested model, for the message.
    """
    what = f"The model {path!r} inside" if path else "Argument `model`"
    if not isinstance(model, keras.Model):
        raise TypeError(
            "Argument `model` must be a Functional or Sequential `keras.Model`. "
            f"Received: model={shown(model)} (of type {type(model).__name__})"
        )
    if not is_model(model):
        raise ValueError(
            f"{what} is a subclassed model, whose `call` is code that cannot be rewritten: put the "
            "drop layers into its `call`, or build it as a Functional model "
            f"(keras.Model(inputs, outputs)). Received: {type(model).__name__} {model.name!r}"
        )
    if _call_is_overridden(model):
        raise ValueError(
            f"{what} overrides `call` with code that cannot be rewritten: build it "
            "as a Functional model, keras.Model(model.inputs, model.outputs). "
            f"Received: {type(model).__name__} {model.name!r}"
        )
    if functional(model) is None:
        raise ValueError(
            f"{what} must be built: give it a `keras.Input` as its first layer, or call it on one "
            f"batch. Received: {type(model).__name__} {model.name!r}, which is not built"
        )
    for node in nodes(model):
        if is_model(node.operation):
            inside = f"{path}/{node.operation.name}" if path else node.operation.name
            check_rewritable(node.operation, inside)


def _call_is_overridden(model: keras.Model) -> bool:
    return type(model).call is not keras_class(model).call
