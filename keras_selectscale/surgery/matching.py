"""Finds what `after=` selects, and the predictions that no drop may follow."""

import contextlib
import fnmatch
import math
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeAlias

import keras

from keras_selectscale.checks import shown
from keras_selectscale.object_checks import asked
from keras_selectscale.surgery import graph
from keras_selectscale.surgery.graph import Call

After: TypeAlias = str | type | Callable[[keras.layers.Layer], bool] | Collection[str | type]

CONVOLUTIONS = tuple(
    getattr(keras.layers, name)
    for name in (
        *(f"Conv{rank}D" for rank in (1, 2, 3)),
        *(f"Conv{rank}DTranspose" for rank in (1, 2, 3)),
        *(f"{kind}Conv{rank}D" for kind in ("Depthwise", "Separable") for rank in (1, 2)),
    )
)
NORMALIZATIONS = (
    keras.layers.BatchNormalization,
    keras.layers.GroupNormalization,
    keras.layers.LayerNormalization,
    keras.layers.RMSNormalization,
    keras.layers.UnitNormalization,
)
# Layers and functions of `keras.ops` by the names of their classes, which differ only in case.
ACTIVATIONS = {
    "activation",
    "celu",
    "elu",
    "gelu",
    "hardshrink",
    "hardsigmoid",
    "hardsilu",
    "hardswish",
    "hardtanh",
    "leakyrelu",
    "mish",
    "prelu",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "softplus",
    "softsign",
    "swish",
    "tanh",
}
# Operations that split their input or join several inputs.
SLICES = {"getitem", "slice", "split", "unstack"}
COLLECTS = {"concatenate", "stack"}
# Operations that summarize, in addition to those with "pool" in their names. On maps of one
# position, their output has as many values as their input.
SUMMARIZES = {"mean", "max", "min", "sum", "prod", "std", "var", "median", "logsumexp", "norm"}


class Selection:
    """The calls and the layers that a user's `after=` selects.

    Args:
        after: `"conv"`, a layer class, a name pattern, several classes and patterns, or a callable
            from a layer to a bool.

    Raises:
        TypeError: If `after` is none of these.
    """

    def __init__(self, after: After):
        self.units = isinstance(after, str) and after == "conv"
        self.asks: Any = after if callable(after) and not isinstance(after, type) else None
        items: tuple[Any, ...] = ()
        if isinstance(after, (str, type)):
            items = (after,)
        elif (
            self.asks is None
            and isinstance(after, Collection)
            and not isinstance(after, (Mapping, bytes))
        ):
            with contextlib.suppress(Exception):  # An array without axes claims to have items.
                items = tuple(after)
        if self.asks is None and not (
            items and all(isinstance(item, (str, type)) for item in items)
        ):
            raise TypeError(
                'Argument `after` must be "conv", a layer class or several, a name pattern such as '
                '"block*_relu" or several, or a callable from a layer to a bool. '
                f"Received: after={shown(after)} (of type {type(after).__name__})"
            )
        self.kinds = tuple(item for item in items if isinstance(item, type))
        self.patterns = [item for item in items if isinstance(item, str)]
        self._unit_ends: dict[int, set[int]] = {}

    def call(self, call: Call) -> bool:
        """Returns whether a drop should follow a call."""
        if not self.units:
            return self.layer(call.node.operation, call.path)
        if id(call.model) not in self._unit_ends:
            self._unit_ends[id(call.model)] = unit_ends(call.model)
        return id(call.node) in self._unit_ends[id(call.model)]

    def layer(self, operation: Any, path: str) -> bool:
        """Returns whether a layer, or another operation of a graph, is selected."""
        if self.units:
            return isinstance(operation, CONVOLUTIONS)
        if self.asks is not None:
            return isinstance(operation, keras.Layer) and bool(asked("after", self.asks, operation))
        return isinstance(operation, self.kinds) or any(
            fnmatch.fnmatchcase(name, pattern)
            for pattern in self.patterns
            for name in (operation.name, path)
        )

    def names(self, call: Call) -> bool:
        """Returns whether `after` contains the full name or path of the layer of a call."""
        return not self.units and any(
            name in self.patterns for name in (call.node.operation.name, call.path)
        )


def unit_ends(model: keras.Model) -> set[int]:
    """Returns the ids of the nodes that end a unit: a drop may follow them.

    A unit begins with a convolution. A normalization and an activation belong to it, in either
    order, if each is the only reader of the previous output. A unit ends before an addition, and
    where its output is read in several places or is an output of the model.
    """
    readers = _readers(model)
    outputs = {id(x) for x in graph.functional(model).outputs}

    def follower(node: Any) -> Any:
        tensor = node.outputs[0]
        reading = readers[id(tensor)]
        alone = len(reading) == 1 and len(reading[0].input_tensors) == 1
        return reading[0] if alone and id(tensor) not in outputs else None

    ends = set()
    for node in graph.nodes(model):
        if not isinstance(node.operation, CONVOLUTIONS):
            continue
        normalized = activated = False
        while (following := follower(node)) is not None:
            if isinstance(following.operation, NORMALIZATIONS) and not normalized:
                normalized = True
            elif _name(following.operation) in ACTIVATIONS and not activated:
                activated = True
            else:
                break
            node = following
        ends.add(id(node))
    return ends


def predictions(model: keras.Model, shapes: Mapping[int, tuple[int | None, ...]]) -> set[int]:
    """Returns the ids of the tensors that are predictions of the model, nested models included.

    These are its outputs, and tensors that become outputs without another weight and without
    pooling: the logits before a softmax, a reshape, a resizing or the concatenation of several
    heads. A drop there would change the prediction itself instead of the features behind it.

    Args:
        model: A Functional or Sequential model.
        shapes: Shapes of the tensors by id (`graph.known_shapes`).
    """
    found: set[int] = set()
    _mark(model, {id(x) for x in graph.functional(model).outputs}, shapes, found)
    return found


def _mark(model: keras.Model, outputs: set[int], shapes: Mapping, found: set[int]) -> None:
    readers = _readers(model)
    found |= outputs
    for node in reversed(graph.nodes(model)):
        for tensor in node.outputs:
            for reader in readers[id(tensor)]:
                if any(id(x) in found for x in reader.outputs) and _passes_on(reader, shapes):
                    found.add(id(tensor))
        if graph.is_model(node.operation):
            inner = graph.functional(node.operation).outputs
            pairs = zip(inner, node.outputs, strict=False)
            predicted = {id(inside) for inside, outside in pairs if id(outside) in found}
            _mark(node.operation, predicted, shapes, found)


def _passes_on(node: Any, shapes: Mapping) -> bool:
    """Returns whether a call only rearranges or rescales its input."""
    operation, name = node.operation, _name(node.operation)
    if name in COLLECTS:
        rank = len(node.outputs[0].shape)
        # Feature maps are concatenated on their channels, heads on their positions.
        return rank < 4 and operation.axis % rank not in (0, rank - 1)
    if len({id(x) for x in node.input_tensors}) != 1 or getattr(operation, "weights", None):
        return False
    if "pool" in name or name in SUMMARIZES:
        return False
    if name in SLICES:
        return True
    before, after = (_size(x, shapes) for x in (node.input_tensors[0], node.outputs[0]))
    return before is not None and after is not None and len(node.outputs) == 1 and after >= before


def _size(tensor: Any, shapes: Mapping) -> int | None:
    """Returns the number of values of a tensor per sample, or `None` if it is unknown."""
    shape = shapes.get(id(tensor), tensor.shape)[1:]
    return None if None in shape else math.prod(shape)


def _readers(model: keras.Model) -> dict[int, list[Any]]:
    """Returns the nodes that read each tensor, by the tensor's id."""
    readers = defaultdict(list)
    for node in graph.nodes(model):
        for tensor in {id(x) for x in node.input_tensors}:
            readers[tensor].append(node)
    return readers


def _name(operation: Any) -> str:
    return type(operation).__name__.lower()
