"""The signature of a model: the structure, shapes, dtypes and names of its inputs."""

import dataclasses
import inspect
import keyword
import re
from collections.abc import Iterable, Sequence
from typing import Any

import keras

from keras_selectscale.checks import shown
from keras_selectscale.surgery import graph
from keras_selectscale.surgery.drop_kinds import all_layers

# Names that Keras generates, with a number that depends on the models made before.
_MADE_UP = re.compile(r"(keras_tensor|input_layer)(_\d+)?")


@dataclasses.dataclass(frozen=True)
class Signature:
    """The inputs of a model.

    Attributes:
        arguments: The positional arguments of the model's call, structures of `keras.InputSpec`
            with a free batch size, unless a recurrent layer is stateful.
        names: Names of the inputs, in the order of `keras.tree.flatten(arguments)`.
        other_names: Names that Keras gives them.
        batch_size: The batch size that the model requires, or `None` if it is free.
    """

    arguments: tuple[Any, ...]
    names: tuple[str, ...]
    other_names: tuple[str, ...]
    batch_size: int | None

    @property
    def specs(self) -> list[keras.InputSpec]:
        """The inputs in the order of `names`."""
        return keras.tree.flatten(self.arguments)

    def pack(self, inputs: Sequence[Any]) -> tuple[Any, ...]:
        """Returns the arguments of the model's call for a flat sequence of inputs."""
        return tuple(keras.tree.pack_sequence_as(self.arguments, list(inputs)))


def signature_of(model: keras.Model) -> Signature:
    """Returns the signature of a built model.

    Raises:
        TypeError: If it is not a Keras model.
        ValueError: If it is not built, or the shapes of its inputs are unknown.
    """
    if not isinstance(model, keras.Model):
        raise TypeError(
            "Argument `model` must be a Keras model. "
            f"Received: model={shown(model)} (of type {type(model).__name__})"
        )
    if not model.built:
        raise ValueError(
            "Argument `model` must be built: call it once on data, or give it a `keras.Input`. "
            f"Received: model={shown(model)}"
        )
    structure = None
    if getattr(model, "inputs", None):  # Those of a Sequential model are in its graph.
        structure = graph.functional(model).input if graph.is_model(model) else model.input
    if structure is not None:
        if isinstance(structure, list | tuple) and len(structure) == 1:
            structure = structure[0]
        arguments: tuple[Any, ...] = (structure,)
    else:
        arguments = _recorded_arguments(model)
    flat = keras.tree.flatten(arguments)
    names = _names(arguments, flat)
    sizes = {tensor.shape[0] for tensor in flat} - {None} if structure is not None else set()
    # The state of a stateful recurrent layer has a fixed batch size.
    keeps_state = any(getattr(layer, "stateful", False) for layer in all_layers(model))
    if any(len(tensor.shape) == 0 for tensor in flat):
        raise ValueError(f"Argument `model` must take batches. Received: model={shown(model)}")
    return Signature(
        arguments=keras.tree.map_structure(
            lambda tensor: _spec(tensor, tensor.shape[0] if keeps_state else None), arguments
        ),
        names=names,
        other_names=tuple(tensor.name or name for tensor, name in zip(flat, names, strict=True)),
        batch_size=min(sizes) if sizes else None,
    )


def _spec(tensor: Any, batch_size: int | None) -> keras.InputSpec:
    return keras.InputSpec(dtype=tensor.dtype, shape=(batch_size, *tensor.shape[1:]))


def _recorded_arguments(model: keras.Model) -> tuple[Any, ...]:
    """Returns the arguments of the call in which a subclassed model was built."""
    config = model.get_build_config() or {}
    shapes = config.get("shapes_dict", {"inputs": config.get("input_shape")})
    if not shapes or any(shape is None for shape in shapes.values()):
        raise ValueError(
            "Argument `model` must tell the shapes of its inputs: call it once on data. "
            f"Received: model={shown(model)}"
        )
    if model.input_dtype in ("bfloat16", "float16") and _looks_up(model):
        raise ValueError(
            "Argument `model` must be a Functional model, whose inputs tell their dtype: of a "
            f"subclassed model Keras keeps none, and {model.input_dtype} does not hold the numbers "
            f"that its Embedding takes. Received: model={shown(model)}"
        )
    tensors = {
        name.removesuffix("_shape"): _tensors(shape, model.input_dtype, name)
        for name, shape in shapes.items()
    }
    _check_arguments(model, list(tensors))
    return tuple(tensors.values())


def _looks_up(model: keras.Model) -> bool:
    return any(isinstance(layer, keras.layers.Embedding) for layer in all_layers(model))


def _tensors(shape: Any, dtype: str, name: str) -> Any:
    if isinstance(shape, dict):
        return {key: _tensors(value, dtype, key) for key, value in shape.items()}
    if all(size is None or isinstance(size, int) for size in shape):
        return keras.KerasTensor(tuple(shape), dtype=dtype, name=name.removesuffix("_shape"))
    return [_tensors(value, dtype, f"{name}_{number}") for number, value in enumerate(shape)]


def _check_arguments(model: keras.Model, known: list[str]) -> None:
    """Raises an error if the call needs arguments whose shapes are unknown."""
    needed = [
        parameter.name
        for parameter in inspect.signature(model.call).parameters.values()
        if parameter.default is parameter.empty
        and parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        and parameter.name not in ("training", "mask")
    ]
    if len(needed) > len(known):
        raise ValueError(
            "Argument `model` must tell the shapes of all its inputs: of a subclassed model Keras "
            "keeps those of one argument of `call`, so take them as one dict or list, or define "
            f"`build` with an argument `NAME_shape` for each. Received: model={shown(model)}, "
            f"whose `call` takes {needed}"
        )


def _names(arguments: tuple[Any, ...], flat: list[Any]) -> tuple[str, ...]:
    """Returns the names: keys of a dict, names of `keras.Input`, else inputs or input_0, ...."""
    argument = arguments[0]
    if len(arguments) == 1 and isinstance(argument, dict) and len(flat) == len(argument):
        given: Iterable[str] = (str(path[-1]) for path, _ in keras.tree.flatten_with_path(argument))
    else:
        given = (tensor.name or "keras_tensor" for tensor in flat)
    alone = len(flat) == 1
    return unique(
        ("inputs" if alone else f"input_{number}") if _MADE_UP.fullmatch(name) else name
        for number, name in enumerate(given)
    )


def unique(names: Iterable[str]) -> tuple[str, ...]:
    """Returns the names as distinct Python identifiers, which every format can hold."""
    found: list[str] = []
    for name in names:
        plain = re.sub(r"[^0-9A-Za-z_]", "_", name)
        if not re.match(r"[A-Za-z]", plain):
            plain = f"n{plain}"
        if keyword.iskeyword(plain):
            plain = f"{plain}_"
        candidate, number = plain, 0
        while candidate in found:
            number += 1
            candidate = f"{plain}_{number}"
        found.append(candidate)
    return tuple(found)
