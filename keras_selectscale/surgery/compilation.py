"""Compiles a model in the same way as another one."""

import warnings
from typing import Any

import keras

PACKAGE = "keras_selectscale"


def copy_compilation(model: keras.Model, twin: keras.Model, *, foreign_only: bool = False) -> bool:
    """Compiles `twin` like `model`, with a new optimizer, new metrics and the same losses.

    The optimizer is made from its config, which has the current learning rate. Its slots and its
    count of steps start from zero.

    Args:
        model: A model, compiled or not.
        twin: The model to compile.
        foreign_only: Whether to leave `twin` uncompiled if the compilation holds an object of this
            package.

    Returns:
        Whether `twin` was compiled. If it could not be, a warning says why.
    """
    compilation = compilation_of(model)
    if not model.compiled or compilation is None:
        return False
    if (
        type(model).compile is not keras.Model.compile
        and type(twin).compile is not type(model).compile
    ):
        _say_uncompiled(model, f"{type(model).__name__} has its own `compile`")
        return False
    config = dict(compilation.config)
    try:
        if foreign_only and _names_this_package(model.get_compile_config()):
            return False
        config["optimizer"] = copy_object(config["optimizer"])
        for key in ("metrics", "weighted_metrics"):
            config[key] = keras.tree.map_structure(copy_object, config[key])
    except Exception as error:  # A custom object may not return its arguments.
        reason = " ".join(str(error).split())
        _say_uncompiled(
            model, f"an object in it cannot be copied ({type(error).__name__}: {reason})"
        )
        return False
    # Otherwise an optimizer without loss scaling would be wrapped.
    config["auto_scale_loss"] = isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    # These may have changed since `compile`.
    for key in ("run_eagerly", "jit_compile", "steps_per_execution"):
        config[key] = getattr(model, key)
    # A custom `compile` has passed these on and stored the rest in attributes, which `twin` has.
    keras.Model.compile(twin, **config)
    return True


def _say_uncompiled(model: keras.Model, why: str) -> None:
    warnings.warn(
        f"The model that is rebuilt from {model.name!r} is not compiled: {why}. Compile it.",
        stacklevel=4,
    )


def compilation_of(model: keras.Model) -> Any:
    """Returns the record of the last `compile`, a new object each time, or `None`.

    Its `config` holds the arguments as objects. The public `Model.get_compile_config` returns them
    serialized, which fails for a custom object without a config and loses the identity of others.
    """
    return getattr(model, "_compile_config", None)


def goes_by_output_names(model: keras.Model) -> bool:
    """Returns whether losses, their weights or metrics are given by the names of the outputs."""
    compilation = compilation_of(model)
    if not model.compiled or compilation is None:
        return False
    config = compilation.config
    keys = ("loss", "loss_weights", "metrics", "weighted_metrics")
    return any(isinstance(config[key], dict) for key in keys)


def copy_object(value: Any) -> Any:
    """Returns a new optimizer or metric with the same config, and anything else unchanged."""
    if not isinstance(value, (keras.optimizers.Optimizer, keras.metrics.Metric)):
        return value  # A name, a function or None.
    objects = {type(value).__name__: type(value)}
    # The function of a MeanMetricWrapper. Its public `get_config` holds the function only by name,
    # which is looked up again when the metric is made.
    function = getattr(value, "_fn", None)
    if function is not None:
        objects[getattr(function, "__name__", "")] = function
    with keras.saving.custom_object_scope(objects):
        return type(value).from_config(value.get_config())


def _names_this_package(config: Any) -> bool:
    """Returns whether a serialized config can be read only with this package."""
    if isinstance(config, dict):
        return any(
            isinstance(value, str) and value.split(".")[0].split(">")[0] == PACKAGE
            for value in (config.get("module"), config.get("registered_name"))
        ) or any(_names_this_package(value) for value in config.values())
    return isinstance(config, (list, tuple)) and any(map(_names_this_package, config))
