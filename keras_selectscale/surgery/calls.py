"""Every call of a model's graph, in order, with what is known of its output."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import keras

from keras_selectscale.surgery import graph

# What an unknown size is taken for where only the ratio of resolutions counts.
STAND_IN_SIZE = 256
# Layers whose `data_format` is that of their maps. Others take what they are told: a padding in the
# other format pads the channels.
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
# Behind these the channels may be anywhere.
MOVES_AXES = ("Permute", "Reshape", "Transpose", "Moveaxis", "Swapaxes")


class Call(NamedTuple):
    """One call.

    Attributes:
        model: The model in whose graph it is, a nested one perhaps.
        node: The node of the graph.
        path: Names that lead to the operation, joined by "/".
        number: How many calls of the same operation this graph has up to this one, from 1.
        data_format: Of its output.
    """

    model: keras.Model
    node: Any
    path: str
    number: int
    data_format: str


def calls(model: keras.Model) -> Iterator[Call]:
    """Yields the calls in the order of execution; those of a nested model come before its own.

    A nested model that is called several times is gone through once.
    """
    yield from _calls(model, "", {}, set())


def _calls(model: keras.Model, prefix: str, formats: dict, seen: set) -> Iterator[Call]:
    numbers: dict[int, int] = {}
    for node in graph.nodes(model):
        operation = node.operation
        path = f"{prefix}{operation.name}"
        if graph.is_model(operation) and id(operation) not in seen:
            seen.add(id(operation))
            inner = graph.functional(operation)
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

    Unknown sizes follow from inputs whose own unknown sizes are taken for 256; where a layer does
    not take that, what is behind it is left out.
    """
    shapes: dict[int, tuple[int | None, ...]] = {}
    inputs = [_sized(x) for x in graph.functional(model).inputs]
    _run(graph.functional(model), inputs, shapes)
    return shapes


def _sized(x: Any) -> keras.KerasTensor:
    shape = (x.shape[0], *(STAND_IN_SIZE if size is None else size for size in x.shape[1:]))
    return keras.KerasTensor(shape, dtype=x.dtype)


def _run(model: Any, inputs: list, shapes: dict) -> None:
    tensors = {id(x): value for x, value in zip(model.inputs, inputs, strict=True)}
    for node in graph.nodes(model):
        if any(id(x) not in tensors for x in node.input_tensors):
            continue
        args, kwargs = node.arguments.fill_in(tensors)
        try:
            outputs = keras.tree.flatten(node.operation.compute_output_spec(*args, **kwargs))
        except Exception:  # A layer may demand a certain size; the calls behind it stay unknown.
            continue
        if graph.is_model(node.operation):
            inner = graph.functional(node.operation)
            _run(inner, [tensors[id(x)] for x in node.input_tensors], shapes)
        for old, new in zip(node.outputs, outputs, strict=False):
            tensors[id(old)] = new
            shapes.setdefault(id(old), tuple(new.shape))
