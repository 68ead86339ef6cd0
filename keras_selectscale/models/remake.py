"""Copies layers from their config in memory, without registration."""

import contextlib
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import keras

# Objects with a state. The new layer must have its own.
STATEFUL = (
    keras.Layer,
    keras.metrics.Metric,
    keras.optimizers.Optimizer,
    keras.random.SeedGenerator,
    keras.Variable,
)


def remake(
    layer: keras.Layer, change: Callable[[dict[str, Any]], dict[str, Any]] = dict
) -> keras.Layer:
    """Returns a new layer, not built, of the class and the config of another layer.

    Keras looks up the names in a config, because a config may come from a file. Here the objects
    exist: custom classes and functions need no registration, and lambdas, closures, partial
    functions, bound methods and other callables are passed to the new layer unchanged. If the
    config lacks an argument of the constructor, the arguments that created the layer are used
    instead.

    Args:
        layer: The layer, which does not change.
        change: Function from the config of the layer to the config of the new one.

    Raises:
        ValueError: If no layer can be made from the config.
    """
    kind, held = type(layer), _Held(layer)
    ways: list[tuple[Any, Callable, Callable]] = [
        (held.by_name, layer.get_config, kind.from_config),
        (held.by_name, lambda: _constructor_arguments(layer), lambda config: kind(**config)),
    ]
    if held.functions:
        ways.insert(0, (held.by_number, layer.get_config, kind.from_config))
    failures = []
    for scope, get_config, make in ways:
        with scope() as originals:
            try:
                config = get_config()
            except Exception as error:  # A custom class may raise anything.
                failures.append(error)
                continue
            if held.classes:
                config = _unbuilt(config)
            changed = change(_replaced(config, originals) if originals else config)
            try:
                return make(changed)
            except Exception as error:
                failures.append(error)
    failure = failures[-2]
    raise ValueError(
        f"The layer {layer.name!r} (of type {kind.__name__}) cannot be copied from its config: "
        "give its class a `get_config` that returns every argument of `__init__`. "
        f"{type(failure).__name__}: {' '.join(str(failure).split())}"
    ) from failure


def _constructor_arguments(layer: keras.Layer) -> dict[str, Any]:
    """Returns the arguments that created a layer, which Keras keeps if they are plain values.

    They are in `Layer._auto_config`. The public `get_config` returns them too, unless a class
    overrides it.
    """
    recorded = getattr(layer, "_auto_config", None)
    if recorded is None:
        raise ValueError("the arguments that created it are not all plain values")
    config = {"name": layer.name, "trainable": layer.trainable, **recorded.config}
    parameters = inspect.signature(type(layer).__init__).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return config
    return {key: value for key, value in config.items() if key in parameters}


class _Held:
    """The custom classes and functions that a layer holds, its sublayers included."""

    def __init__(self, layer: keras.Layer):
        self.classes: dict[str, type] = {}
        self.owners: list[tuple[Any, str, Any]] = []
        # Functions and stateless objects, by their ids.
        self.functions: dict[int, Any] = {}
        self._seen: set[int] = set()
        self._visit(layer)

    def _visit(self, owner: Any) -> None:
        """Visits the attributes of an object that has a config."""
        if id(owner) in self._seen:
            return
        self._seen.add(id(owner))
        kind = type(owner)
        if not _is_keras_own(kind):
            self.classes.setdefault(kind.__name__, kind)
        for name, value in list(getattr(owner, "__dict__", {}).items()):
            # Keras and `drops_active` set methods on instances.
            if callable(getattr(kind, name, None)):
                continue
            functions = list(self._functions_in(value))
            if functions:
                self.owners.append((owner, name, value))
                self.functions.update((id(function), function) for function in functions)

    def _functions_in(self, value: Any) -> Iterator[Any]:
        """Yields the functions in an attribute that need a stand-in, and visits the objects."""
        if isinstance(value, dict):
            for entry in list(value.values()):
                yield from self._functions_in(entry)
        elif isinstance(value, (list, tuple, set)):
            for entry in list(value):
                yield from self._functions_in(entry)
        elif isinstance(value, type):
            return
        elif hasattr(value, "get_config"):
            if isinstance(value, STATEFUL) or _is_keras_own(type(value)):
                self._visit(value)
            else:  # An initializer, a regularizer or a schedule has no state to copy.
                self.classes.setdefault(type(value).__name__, type(value))
                yield value
        elif callable(value) and not _is_found_by_name(value):
            yield value

    @contextlib.contextmanager
    def by_number(self) -> Iterator[dict[int, Any]]:
        """Replaces the functions that the layer holds by functions with unique names.

        Two closures may have the same name, a custom `relu` has the name of Keras' own, and a
        lambda has no name. The stand-ins call the original functions, so that the layer works in
        the meantime.

        Yields:
            The function behind each stand-in, by the stand-in's id.
        """
        stand_ins = {
            key: _stand_in(function, f"keras_selectscale_function_{number}")
            for number, (key, function) in enumerate(self.functions.items())
        }
        named = {stand_ins[key].__name__: function for key, function in self.functions.items()}
        for owner, name, value in self.owners:
            owner.__dict__[name] = _replaced(value, stand_ins)
        try:
            with keras.saving.custom_object_scope({**self.classes, **named}):
                yield {id(stand_ins[key]): value for key, value in self.functions.items()}
        finally:
            for owner, name, value in self.owners:
                owner.__dict__[name] = value

    @contextlib.contextmanager
    def by_name(self) -> Iterator[dict[int, Any]]:
        """Lets Keras find the functions by their own names."""
        named = {
            function.__name__: function
            for function in self.functions.values()
            if hasattr(function, "__name__")
        }
        with keras.saving.custom_object_scope({**self.classes, **named}):
            yield {}


def _is_keras_own(thing: Any) -> bool:
    return (getattr(thing, "__module__", None) or "").split(".")[0] in ("keras", "builtins")


def _is_found_by_name(function: Any) -> bool:
    """Returns whether Keras finds a function by the name that it writes into a config."""
    if getattr(function, "__name__", "<lambda>") == "<lambda>":
        return False
    try:
        return keras.activations.get(keras.activations.serialize(function)) is function
    except Exception:  # The name is unknown or missing.
        return False


def _stand_in(function: Any, name: str) -> Callable[..., Any]:
    def stand_in(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    stand_in.__name__ = stand_in.__qualname__ = name
    return stand_in


def _unbuilt(config: Any) -> Any:
    """Returns a config whose inner layers are built by the layer that holds them.

    Keras builds an inner layer when it reads its config, and a custom `build` may build it again.
    """
    if isinstance(config, dict):
        built = "class_name" in config and "build_config" in config
        return {
            key: _unbuilt(value)
            for key, value in config.items()
            if not (built and key == "build_config")
        }
    if isinstance(config, list):
        return [_unbuilt(value) for value in config]
    return config


def _replaced(value: Any, by: dict[int, Any]) -> Any:
    """Returns `value` with the objects in its containers replaced by their ids."""
    if id(value) in by:
        return by[id(value)]
    if isinstance(value, dict):
        return {key: _replaced(entry, by) for key, entry in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(_replaced(entry, by) for entry in value))
    if isinstance(value, (tuple, set)):
        return type(value)(_replaced(entry, by) for entry in value)
    if isinstance(value, list):
        return [_replaced(entry, by) for entry in value]
    return value
