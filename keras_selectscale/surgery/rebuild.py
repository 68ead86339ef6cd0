"""A model built again from copies of its layers, with changes to its graph on the way."""

import inspect
import warnings
from collections.abc import Callable
from typing import Any

import keras

from keras_selectscale.surgery import compilation, graph, layer_copies

# Methods by which a class of one's own trains otherwise than Keras; a plain model has none of them.
OF_TRAINING = ("train_step", "test_step", "predict_step", "compute_loss")


def _nothing(model: keras.Model, node: Any) -> None:
    return None


class Rebuild:
    """Builds a Functional or Sequential model again, nested ones included.

    Each layer is copied once, so that a shared one stays shared; names, weights, random states,
    dtype policies and trainable flags are those of the original, which stays as it is.

    Args:
        leaves_out: Says of an operation whether its calls are left out: what came in goes on.
        drop_behind: Gives the drop layer behind a node of a model, or `None`.
        dtype: Dtype policy of all copies; `None` is that of each original.
    """

    def __init__(
        self,
        *,
        leaves_out: Callable[[Any], bool] = lambda operation: False,
        drop_behind: Callable[[keras.Model, Any], keras.Layer | None] = _nothing,
        dtype: str | None = None,
    ):
        self.leaves_out = leaves_out
        self.drop_behind = drop_behind
        self.dtype = dtype
        self.copies: dict[int, tuple[Any, Any]] = {}

    def __call__(self, model: keras.Model) -> keras.Model:
        """Returns the new model, not compiled."""
        twin = self._copy(model)
        pairs = [pair for pair in self.copies.values() if isinstance(pair[0], keras.Layer)]
        models = [pair for pair in pairs if graph.is_model(pair[0])]
        layers = [pair for pair in pairs if not graph.is_model(pair[0])]
        # Models come behind what they hold, and their flags overwrite those of what they hold.
        for original, copied in reversed(models):
            copied.trainable = original.trainable
            if original.quantization_mode is None:
                copied.dtype_policy = self.dtype or original.dtype_policy
        for original, copied in layers:
            layer_copies.copy_state(original, copied)
            layer_copies.copy_trainable(original, copied)
        _check_variables(models, layers)
        return twin

    def _copy(self, operation: Any) -> Any:
        if id(operation) not in self.copies:
            if isinstance(operation, keras.Sequential):
                twin = self._sequential(operation)
            elif graph.is_model(operation):
                twin = self._functional(operation)
            else:
                twin = layer_copies.copy_operation(operation, self.dtype)
            self.copies[id(operation)] = (operation, twin)
        return self.copies[id(operation)][1]

    def _functional(self, model: keras.Model) -> keras.Model:
        tensors = {id(x): self._copy(x._keras_history.operation).output for x in model.inputs}
        fixed = set(tensors)
        for node in graph.nodes(model):
            args, kwargs = node.arguments.fill_in(tensors)
            if self.leaves_out(node.operation):
                tensors[id(node.outputs[0])] = self._left_out(model, node, tensors, fixed)
                continue
            copied = self._copy(node.operation)
            with layer_copies.policy_of(node.operation, self.dtype):
                outputs = keras.tree.flatten(copied(*args, **kwargs))
            drop = self.drop_behind(model, node)
            if drop is not None:
                outputs = [_behind(drop, outputs[0])]
            tensors.update((id(old), new) for old, new in zip(node.outputs, outputs, strict=True))
        inputs, outputs = (
            keras.tree.map_structure(lambda x: tensors[id(x)], struct)
            for struct in (model.input, model.output)
        )
        twin = _class_for(model, ["inputs", "outputs"])(inputs, outputs, name=model.name)
        # A drop behind an output takes its place, not its name in losses and metrics.
        twin.output_names = list(model.output_names)
        return twin

    def _left_out(self, model: keras.Model, node: Any, tensors: dict, fixed: set) -> Any:
        """Returns what stands for the output of a call that is left out."""
        came_in = node.input_tensors[0]
        is_output = any(node.outputs[0] is x for x in model.outputs)
        if came_in is not None and id(came_in) in fixed:
            fixed.add(id(node.outputs[0]))
        names_count = len(model.outputs) > 1 or compilation.goes_by_output_names(model)
        if is_output and (names_count or id(came_in) in fixed):
            # An output has its name from a layer of its own, and no output is an input.
            return keras.layers.Identity(name=node.operation.name)(tensors[id(came_in)])
        return tensors[id(came_in)]

    def _sequential(self, model: keras.Sequential) -> keras.Sequential:
        source = graph.functional(model).inputs[0]._keras_history.operation
        layers = [self._copy(source)]
        for node in graph.nodes(model):
            # The layers compute the operations of a mask again.
            if self.leaves_out(node.operation) or not isinstance(node.operation, keras.Layer):
                continue
            layers.append(self._copy(node.operation))
            drop = self.drop_behind(model, node)
            if drop is not None:
                layers.append(drop)
        if len(layers) == 1:  # A Sequential model of nothing cannot be called.
            layers.append(keras.layers.Identity())
        with layer_copies.policy_of(model, self.dtype):
            twin = _class_for(model, ["layers"])(layers, name=model.name)
        for node in graph.nodes(twin):
            if any(node.operation is layer for layer in self._drops_of(twin)):
                _check_shape(node.operation, node.input_tensors[0], node.outputs)
        return twin

    def _drops_of(self, twin: keras.Sequential) -> list[keras.Layer]:
        ours = {id(copied) for _, copied in self.copies.values()}
        return [layer for layer in twin.layers if id(layer) not in ours]


def _check_variables(models: list[tuple[Any, Any]], layers: list[tuple[Any, Any]]) -> None:
    """Raises where the copies of the layers are not all that the models are made of."""
    found = {id(v) for original, _ in layers for v in original.weights}
    copied = {id(v) for _, twin in layers for v in twin.weights}
    if len(found) != len(copied):
        raise ValueError(
            "Argument `model` must have no weight that two layers share, other than one layer that "
            f"is called twice. Received: {len(found)} weights in the layers, {len(copied)} in the "
            "copies of them"
        )
    for model, _ in models:
        inside = {id(v) for layer in model.layers for v in layer.weights}
        outside = [v.path for v in model.weights if id(v) not in inside]
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
            "Argument `drop` must give layers that keep the shape and the dtype of their input, "
            f"{x.dtype} of shape {tuple(x.shape)}. Received: {drop!r}, which gives "
            f"{[(str(y.dtype), tuple(y.shape)) for y in outputs]}"
        )


def _takes_only(parameters: list[inspect.Parameter], arguments: list[str]) -> bool:
    """Returns whether a constructor takes the arguments and a name, and nothing else."""
    kinds = [parameter.kind for parameter in parameters]
    if kinds == [inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD]:
        return True
    names = [parameter.name for parameter in parameters]
    rest = parameters[len(arguments) :]
    others = [p for p in rest if p.kind != p.VAR_KEYWORD and p.name not in ("name", "trainable")]
    takes_name = "name" in names or inspect.Parameter.VAR_KEYWORD in kinds
    return names[: len(arguments)] == arguments and takes_name and not others


def _class_for(model: keras.Model, arguments: list[str]) -> type:
    """Returns the class of the new model: the same where it is made as Keras' own is."""
    plain = keras.Sequential if isinstance(model, keras.Sequential) else keras.Model
    kind = type(model)
    if kind.__module__.split(".")[0] == "keras":
        return plain
    if _takes_only(list(inspect.signature(kind.__init__).parameters.values())[1:], arguments):
        return kind
    lost = [name for name in OF_TRAINING if getattr(kind, name) is not getattr(plain, name)]
    if lost:
        warnings.warn(
            f"The model {model.name!r} comes back as a plain {plain.__name__}, because "
            f"{kind.__name__} takes other arguments than {arguments}: its {', '.join(lost)} "
            "stay behind.",
            stacklevel=5,
        )
    return plain
