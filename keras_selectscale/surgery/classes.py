"""The class of a rebuilt model, and the attributes that its methods use."""

import functools
import inspect
import types
import warnings
from collections.abc import Callable
from typing import Any

import keras

from keras_selectscale.surgery import compilation, graph

# Methods of Keras that a class may override to train, predict or preprocess in its own way.
BEHAVIOR = (
    "fit",
    "evaluate",
    "predict",
    "train_on_batch",
    "test_on_batch",
    "predict_on_batch",
    "train_step",
    "test_step",
    "predict_step",
    "compute_loss",
    "compute_metrics",
)
GRAPH_KEYS = {"layers", "input_layers", "output_layers"}


class NotCarriedError(ValueError):
    """An attribute of a model has no counterpart for a rebuilt model."""


def class_of(model: keras.Model) -> Any:
    """Returns the class of a model; for a rebuilt model, the class of the original."""
    return getattr(type(model), "_rebuilt_class", type(model))


def lost_methods(model: keras.Model) -> list[str]:
    """Returns the methods that the class of a model overrides and a plain model would not have."""
    kind, plain = class_of(model), graph.keras_class(model)
    return [name for name in BEHAVIOR if getattr(kind, name) is not getattr(plain, name)]


def rebuilt(model: keras.Model, *arguments: Any) -> keras.Model:
    """Returns a new model of the class of `model`, without calling the constructor of the class.

    A custom constructor takes its own arguments and would build its own network. This function
    initializes only Keras' part of the new model; `carry_attributes` copies the rest.

    Args:
        model: The original.
        arguments: Inputs and outputs of a Functional model, or layers of a Sequential one.
    """
    kind, plain = class_of(model), graph.keras_class(model)
    if kind is plain:
        return plain(*arguments, name=model.name)
    makes: list[Callable[[], Any]] = [lambda: _saved_as_plain(kind, plain)]
    if _is_saved_as_graph(model) and _constructor_takes(kind, plain, arguments, model.name):
        makes.insert(0, lambda: kind)
    for make in makes:
        try:
            chosen = make()
            twin = chosen.__new__(chosen)
            plain.__init__(twin, *arguments, name=model.name)
            return twin
        except Exception:  # A class may override `__new__` or `__setattr__`.
            continue
    _say_plain(model, "Keras cannot create an object of the class without its constructor")
    return plain(*arguments, name=model.name)


def carry_attributes(model: keras.Model, twin: keras.Model, counterpart: Callable) -> None:
    """Gives `twin` the attributes of `model`.

    If one of them cannot be carried over, `twin` becomes a plain model, with a warning.

    Args:
        model: The original.
        twin: The model that `rebuilt` made.
        counterpart: Function that returns the counterpart of a value in the new model.
    """
    if type(twin) is graph.keras_class(model):
        return
    keras_own = graph.attributes(twin).keys() | graph.TRAINING_ATTRIBUTES
    found = {}
    for name, value in graph.attributes(model).items():
        if name in keras_own:
            continue
        try:
            found[name] = counterpart(value)
        except NotCarriedError as error:
            _say_plain(model, f"its attribute `{name}` cannot be copied: {error}")
            twin.__class__ = graph.keras_class(model)
            return
    for name, value in found.items():
        setattr(twin, name, value)


def _say_plain(model: keras.Model, why: str) -> None:
    lost = lost_methods(model)
    plain = graph.keras_class(model).__name__
    advice = (
        f" It loses {', '.join(lost)}: preprocess the inputs yourself and call those of the plain "
        f"{plain}, or build a {class_of(model).__name__} from the returned network."
        if lost
        else ""
    )
    warnings.warn(
        f"The model {model.name!r} is returned as a plain {plain}, not as a "
        f"{class_of(model).__name__}, because {why}.{advice}",
        stacklevel=2,
    )


def _is_saved_as_graph(model: keras.Model) -> bool:
    """Returns whether Keras writes the graph of a model of this class and reads the class again."""
    kind, plain = class_of(model), graph.keras_class(model)
    if getattr(kind.from_config, "__func__", None) is not plain.from_config.__func__:
        return False
    if plain is keras.Sequential:
        return True
    constructor = inspect.getfullargspec(kind.__init__)
    if constructor.args[1:] != inspect.getfullargspec(plain.__init__).args[1:] and (
        constructor.varargs != "args" or constructor.varkw != "kwargs"
    ):
        return False
    try:
        return kind.get_config is plain.get_config or kind.get_config(model).keys() >= GRAPH_KEYS
    except Exception:  # A custom class may raise anything.
        return False


def _constructor_takes(kind: Any, plain: Any, arguments: tuple, name: str) -> bool:
    """Returns whether the constructor makes the model that its arguments describe."""
    if kind.__init__ is plain.__init__:
        return True
    try:
        if plain is keras.Sequential:
            return kind(name=name).layers == []
        probe = kind(*arguments, name=name)
        given = [keras.tree.flatten(argument) for argument in arguments]
        return all(
            len(own) == len(others) and all(x is y for x, y in zip(own, others, strict=True))
            for own, others in zip((probe.inputs, probe.outputs), given, strict=True)
        )
    except Exception:  # The constructor takes other arguments.
        return False


def _saved_as_plain(kind: Any, plain: Any) -> type:
    """Returns a subclass of a class whose models Keras saves as graphs.

    The class itself would save the arguments of its constructor, which do not contain inserted or
    removed drops. A file of the new model loads as a plain Functional or Sequential model.
    """

    def __new__(cls: Any, *args: Any, **kwargs: Any) -> Any:
        if args or kwargs:  # `clone_model` expects a model like the one that a file would load as.
            return plain(*args, **kwargs)
        return kind.__new__(cls)

    def __init__(self: Any, inputs: Any, outputs: Any, name: Any = None, **kwargs: Any) -> None:
        raise TypeError("A rebuilt model is not created by its constructor.")

    def get_config(self: Any) -> dict[str, Any]:
        lost = lost_methods(self)
        if lost:
            warnings.warn(
                f"A file of the model {self.name!r} holds a plain {plain.__name__}, without the "
                f"{', '.join(lost)} of {kind.__name__}. Preprocess the inputs of the loaded model "
                f"yourself, or build a {kind.__name__} and load the weights into it.",
                stacklevel=2,
            )
        return plain.get_config(self)

    def from_config(cls: Any, *args: Any, **kwargs: Any) -> Any:
        return plain.from_config(*args, **kwargs)

    def __reduce__(self: Any) -> tuple:
        function, arguments = kind.__reduce__(self)
        return getattr(plain, function.__name__), arguments

    return types.new_class(
        # Keras finds the class to load by this name and module.
        plain.__name__,
        (kind,),
        exec_body=lambda namespace: namespace.update(
            __module__=plain.__module__,
            __qualname__=kind.__qualname__,
            __doc__=kind.__doc__,
            __new__=__new__,
            __init__=__init__,
            __reduce__=__reduce__,
            get_config=get_config,
            from_config=classmethod(from_config),
            _rebuilt_class=kind,
        ),
    )


class Counterparts:
    """Maps the values of a model's attributes to those of the rebuilt model.

    Args:
        copy: Function that returns the copy of a layer, model or variable.
        tensors: The tensors of the new graphs by the ids of those in the old ones.
    """

    def __init__(self, copy: Callable[[Any], Any], tensors: dict[int, Any]):
        self.copy = copy
        self.tensors = tensors
        self.made: dict[int, tuple[Any, Any]] = {}

    def __call__(self, value: Any) -> Any:
        """Returns the counterpart, or `value` itself if nothing in it belongs to the model."""
        if id(value) not in self.made:
            self.made[id(value)] = (value, self._make(value))
        return self.made[id(value)][1]

    def _make(self, value: Any) -> Any:
        if isinstance(value, keras.KerasTensor):
            if id(value) not in self.tensors:
                raise NotCarriedError("it is a tensor of another graph")
            return self.tensors[id(value)]
        if isinstance(value, (keras.Layer, keras.Variable)):
            return self.copy(value)
        if isinstance(value, keras.random.SeedGenerator):
            generator = type(value).from_config(value.get_config())
            generator.state.assign(value.state)
            return generator
        if isinstance(value, (keras.metrics.Metric, keras.optimizers.Optimizer)):
            try:
                return compilation.copy_object(value)
            except Exception as error:  # A custom class may raise anything.
                raise NotCarriedError(f"{type(error).__name__}: {error}") from error
        if isinstance(value, (dict, list, tuple, set)):
            return self._container(value)
        if isinstance(value, types.MethodType):
            owner = self(value.__self__)
            return value if owner is value.__self__ else types.MethodType(value.__func__, owner)
        if isinstance(value, functools.partial):
            inside = (value.func, value.args, value.keywords)
            function, args, keywords = map(self, inside)
            changed = any(
                x is not y for x, y in zip(inside, (function, args, keywords), strict=True)
            )
            return functools.partial(function, *args, **keywords) if changed else value
        if isinstance(value, types.FunctionType):
            return self._function(value)
        compiled = getattr(value, "__wrapped__", getattr(value, "python_function", None))
        if callable(compiled) and self(compiled) is not compiled:
            raise NotCarriedError("it is a function that was compiled for the original")
        return value

    def _container(self, value: Any) -> Any:
        if isinstance(value, dict):
            entries: Any = {key: self(entry) for key, entry in value.items()}
            same = all(entries[key] is entry for key, entry in value.items())
            return value if same else entries
        entries = list(map(self, value))
        if all(x is y for x, y in zip(value, entries, strict=True)):
            return value
        if hasattr(value, "_fields"):
            return type(value)(*entries)
        return next(kind for kind in (list, tuple, set) if isinstance(value, kind))(entries)

    def _function(self, function: types.FunctionType) -> Any:
        cells = function.__closure__ or ()
        try:
            held = [cell.cell_contents for cell in cells]
        except ValueError:  # A cell is empty.
            return function
        others = [self(entry) for entry in held]
        if all(one is other for one, other in zip(held, others, strict=True)):
            return function
        twin = types.FunctionType(
            function.__code__,
            function.__globals__,
            function.__name__,
            function.__defaults__,
            tuple(map(types.CellType, others)),
        )
        twin.__kwdefaults__ = function.__kwdefaults__
        return functools.update_wrapper(twin, function)
