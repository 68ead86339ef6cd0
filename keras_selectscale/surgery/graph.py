"""The graph of a Functional or Sequential model, read node by node."""

from typing import Any

import keras


def sublayers(layer: keras.Layer) -> list[keras.Layer]:
    """Returns the layers that `layer` holds directly."""
    return list(layer._flatten_layers(include_self=False, recursive=False))


def is_model(operation: Any) -> bool:
    """Returns whether `operation` is a Functional or Sequential model."""
    return isinstance(operation, keras.Model) and isinstance(
        operation, (keras.Function, keras.Sequential)
    )


def functional(model: keras.Model) -> Any:
    """Returns the Functional model of `model`: itself, or what a Sequential one has built."""
    return model._functional if isinstance(model, keras.Sequential) else model


def nodes(model: keras.Model) -> list[Any]:
    """Returns the calls of the graph in an order in which they can be made, without the inputs.

    A layer that is called several times has as many nodes.
    """
    by_depth = functional(model)._nodes_by_depth
    ordered = [node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth]]
    return [node for node in ordered if not node.is_input]


def check_rewritable(model: Any, path: str = "") -> None:
    """Raises where `model` or a model inside its graph has no graph that says all it does.

    Args:
        model: What the user gave.
        path: Path of a nested model, for the message.
    """
    what = f"The model {path!r} inside" if path else "Argument `model`"
    if not isinstance(model, keras.Model):
        raise TypeError(
            "Argument `model` must be a Functional or Sequential `keras.Model`. "
            f"Received: model={model!r} (of type {type(model).__name__})"
        )
    if not is_model(model):
        raise ValueError(
            f"{what} is a subclassed model, whose `call` is code that cannot be rewritten: put the "
            "drop layers into its `call`, or build it as a Functional model "
            f"(keras.Model(inputs, outputs)). Received: {type(model).__name__} {model.name!r}"
        )
    if _call_is_overridden(model):
        raise ValueError(
            f"{what} has a `call` of its own beside its graph, which cannot be rewritten: build it "
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
    base = "Sequential" if isinstance(model, keras.Sequential) else "Functional"
    of_keras: Any = next(
        cls
        for cls in type(model).__mro__
        if cls.__name__ == base and cls.__module__.split(".")[0] == "keras"
    )
    return type(model).call is not of_keras.call
