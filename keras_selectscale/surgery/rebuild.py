"""Builds a model again from its layers, with changes to its graph."""

from collections.abc import Callable
from typing import Any

import keras

from keras_selectscale.checks import shown
from keras_selectscale.models.deep_graph import deep_graph
from keras_selectscale.surgery import classes, compilation, graph, layer_copies, same_model
from keras_selectscale.surgery.variables import variable_pairs
from keras_selectscale.wording import counted


def _nothing(model: keras.Model, node: Any) -> None:
    return None


class Rebuild:
    """Builds a Functional or Sequential model again, nested models included.

    Each layer is copied once, so that a shared layer stays shared. Names, weights, random states,
    dtype policies, trainable flags, and the classes and attributes of models are those of the
    original, which does not change.

    Args:
        leaves_out: Function that returns whether to leave out the calls of an operation, so that
            their inputs are passed on.
        drop_behind: Function that returns the drop layer that follows a node of a model, or `None`.
        dtype: Dtype policy of all copies; `None` keeps that of each original.
        copy: Whether to copy the layers. Otherwise both models have the same layers.
    """

    def __init__(
        self,
        *,
        leaves_out: Callable[[Any], bool] = lambda operation: False,
        drop_behind: Callable[[keras.Model, Any], keras.Layer | None] = _nothing,
        dtype: str | None = None,
        copy: bool = True,
    ):
        self.leaves_out = leaves_out
        self.drop_behind = drop_behind
        self.dtype = dtype
        self.copy = copy
        self.copies: dict[int, tuple[Any, Any]] = {}
        self.tensors: dict[int, Any] = {}
        self.finished: set[int] = set()

    def __call__(self, model: keras.Model) -> keras.Model:
        """Returns the new model, not compiled.

        Raises:
            ValueError: If a layer cannot be copied, or the new model differs from the original.
        """
        twin = self._rebuilt(model)
        self._copy_states()
        self._carry_attributes()
        # Copies the states of layers outside the graph, which the attributes have added.
        self._copy_states()
        models, layers = self._pairs()
        if self.copy:
            _check_variables(models, layers)
        if self.dtype is None:
            same_model.check_weights(layers, model)
            same_model.check_outputs(model, twin, classes.class_of(model))
        return twin

    def _copy_states(self) -> None:
        """Copies weights, other state and trainable flags of the layers that have not been done."""
        models, layers = self._pairs()
        for original, copied in models:
            graph.copy_flag(original, copied)
            if original.quantization_mode is None:
                copied.dtype_policy = self.dtype or original.dtype_policy
        for original, copied in layers:
            if id(copied) not in self.finished:
                self.finished.add(id(copied))
                layer_copies.copy_state(original, copied)
                layer_copies.copy_trainable(original, copied)

    def _pairs(self) -> tuple[list[tuple[Any, Any]], list[tuple[Any, Any]]]:
        """Returns the models with their copies, and the other layers with theirs."""
        pairs = [
            pair
            for pair in self.copies.values()
            if isinstance(pair[0], keras.Layer) and pair[0] is not pair[1]
        ]
        models = [pair for pair in pairs if graph.is_model(pair[0])]
        return models, [pair for pair in pairs if not graph.is_model(pair[0])]

    def _copy(self, operation: Any) -> Any:
        if id(operation) not in self.copies:
            if graph.is_model(operation) and (self.copy or self._changes(operation)):
                return self._rebuilt(operation)
            # New inputs: otherwise `twin.get_layer(…).output` would silently be of the old graph.
            is_input = isinstance(operation, keras.layers.InputLayer)
            if self.copy or is_input or not isinstance(operation, keras.Layer):
                twin = layer_copies.copy_operation(operation, self.dtype)
            else:
                twin = operation
            self.copies[id(operation)] = (operation, twin)
        return self.copies[id(operation)][1]

    def _rebuilt(self, model: keras.Model) -> keras.Model:
        make = self._sequential if isinstance(model, keras.Sequential) else self._functional
        twin = make(model)
        self.copies[id(model)] = (model, twin)
        return twin

    def _changes(self, model: keras.Model) -> bool:
        """Returns whether a call in a model, or in a model inside, is left out or gets a drop."""
        return any(
            self.leaves_out(node.operation)
            or self.drop_behind(model, node) is not None
            or (graph.is_model(node.operation) and self._changes(node.operation))
            for node in graph.nodes(model)
        )

    def _functional(self, model: keras.Model) -> keras.Model:
        tensors = {id(x): self._copy(graph.operation_of(x)).output for x in model.inputs}
        fixed = set(tensors)
        for node in graph.nodes(model):
            args, kwargs = node.arguments.fill_in(tensors)
            if self.leaves_out(node.operation):
                tensors[id(node.outputs[0])] = self._left_out(model, node, tensors, fixed)
                continue
            outputs = self._call(node.operation, args, kwargs)
            drop = self.drop_behind(model, node)
            if drop is not None:
                outputs = [_behind(drop, outputs[0])]
            tensors.update((id(old), new) for old, new in zip(node.outputs, outputs, strict=True))
        self.tensors.update(tensors)
        inputs, outputs = (
            keras.tree.map_structure(lambda x: tensors[id(x)], struct)
            for struct in (model.input, model.output)
        )
        with deep_graph(2 * len(tensors)):
            twin = classes.rebuilt(model, inputs, outputs)
        # A drop after an output replaces it, but the output keeps its name in losses and metrics.
        twin.output_names = list(model.output_names)
        return twin

    def _call(self, operation: Any, args: tuple, kwargs: dict) -> list[Any]:
        """Calls the copy of an operation."""
        copied = self._copy(operation)
        try:
            with layer_copies.policy_of(operation, self.dtype):
                return keras.tree.flatten(copied(*args, **kwargs))
        except Exception as error:  # The original accepts such inputs.
            raise layer_copies.not_copied(operation, "its copy cannot be called", error) from error

    def _left_out(self, model: keras.Model, node: Any, tensors: dict, fixed: set) -> Any:
        """Returns the tensor that replaces the output of a call that is left out."""
        came_in = node.input_tensors[0]
        is_output = any(node.outputs[0] is x for x in model.outputs)
        if came_in is not None and id(came_in) in fixed:
            fixed.add(id(node.outputs[0]))
        names_count = len(model.outputs) > 1 or compilation.goes_by_output_names(model)
        if is_output and (names_count or id(came_in) in fixed):
            # An output takes its name from its own layer, and an output cannot be an input.
            return keras.layers.Identity(name=node.operation.name)(tensors[id(came_in)])
        return tensors[id(came_in)]

    def _sequential(self, model: keras.Sequential) -> keras.Sequential:
        layers = [self._copy(graph.operation_of(graph.functional(model).inputs[0]))]
        drops = []
        for node in graph.nodes(model):
            # The layers compute the operations of a mask again.
            if self.leaves_out(node.operation) or not isinstance(node.operation, keras.Layer):
                continue
            layers.append(self._copy(node.operation))
            drop = self.drop_behind(model, node)
            if drop is not None:
                layers.append(drop)
                drops.append(drop)
        if len(layers) == 1:  # A Sequential model without layers cannot be called.
            layers.append(keras.layers.Identity())
        with layer_copies.policy_of(model, self.dtype), deep_graph(2 * len(layers)):
            twin = classes.rebuilt(model, layers)
        for node in graph.nodes(twin):
            if any(node.operation is drop for drop in drops):
                _check_shape(node.operation, node.input_tensors[0], node.outputs)
        return twin

    def _carry_attributes(self) -> None:
        """Copies the attributes of the models to their copies."""
        models, layers = self._pairs()
        inside = {
            id(one): other
            for pair in layers
            for one, other in (*graph.layer_pairs(*pair), *variable_pairs(*pair))
        }

        def counterpart(value: Any) -> Any:
            if id(value) in inside:
                return inside[id(value)]
            if isinstance(value, keras.Variable):
                raise classes.NotCarriedError("it is a weight outside of the graph")
            return self._outside(value)

        counterparts = classes.Counterparts(counterpart, self.tensors)
        for original, copied in models:
            classes.carry_attributes(original, copied, counterparts)

    def _outside(self, layer: keras.Layer) -> keras.Layer:
        """Returns the copy of a layer that may be outside the graph, such as a preprocessor."""
        if self.leaves_out(layer):
            return keras.layers.Identity(name=layer.name)
        if id(layer) in self.copies or (self.copy and graph.is_model(layer) and layer.built):
            return self._copy(layer)
        if not self.copy or not layer.variables:
            return layer
        try:
            copied = self._copy(layer)
            if layer.built and not copied.built:
                copied.build_from_config(layer.get_build_config())
            variable_pairs(layer, copied)
        except Exception as error:  # A custom class may raise anything.
            del self.copies[id(layer)]
            raise classes.NotCarriedError(f"{type(error).__name__}: {error}") from error
        return copied


def _check_variables(models: list[tuple[Any, Any]], layers: list[tuple[Any, Any]]) -> None:
    """Raises an error if the models have weights outside the copied layers."""
    found = {id(v) for original, _ in layers for v in original.weights}
    copied = {id(v) for _, twin in layers for v in twin.weights}
    if len(found) != len(copied):
        raise ValueError(
            "Argument `model` must have no weight that two layers share, other than one layer that "
            f"is called twice. Received: {counted(len(found), 'weight')} in the layers, "
            f"{len(copied)} in the copies of them"
        )
    for model, _ in models:
        found |= {id(v) for layer in model.layers for v in layer.weights}
        outside = [v.path for v in model.weights if id(v) not in found]
        if outside:
            raise ValueError(
                "Argument `model` must have all of its weights in the layers of its graph. "
                f"Received: {type(model).__name__} {model.name!r} with {outside}"
            )


def _behind(drop: keras.Layer, x: Any) -> Any:
    y = drop(x)
    _check_shape(drop, x, keras.tree.flatten(y))
    return y


def _check_shape(drop: keras.Layer, x: Any, outputs: list) -> None:
    if len(outputs) != 1 or (tuple(outputs[0].shape), outputs[0].dtype) != (
        tuple(x.shape),
        x.dtype,
    ):
        raise ValueError(
            "Argument `drop` must return layers that keep the shape and the dtype of their input, "
            f"{x.dtype} of shape {tuple(x.shape)}. Received: {shown(drop)}, which returns "
            f"{[(str(y.dtype), tuple(y.shape)) for y in outputs]}"
        )
