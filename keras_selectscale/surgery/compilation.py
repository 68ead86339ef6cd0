"""The compilation of one model, for another."""

import warnings
from typing import Any

import keras

PACKAGE = "keras_selectscale"


def copy_compilation(model: keras.Model, twin: keras.Model, *, foreign_only: bool = False) -> bool:
    """Compiles `twin` as `model` is compiled: a new optimizer and new metrics, the same losses.

    The optimizer is made from its config, which has the learning rate of the moment; its slots and
    its count of steps begin anew.

    Args:
        model: A model, compiled or not.
        twin: The model that gets the compilation.
        foreign_only: Whether to leave the compilation out where it holds an object of this package.

    Returns:
        Whether `twin` has been compiled. Where it cannot be done as it was, a warning says why.
    """
    if not model.compiled or not hasattr(model, "_compile_config"):
        return False
    if type(model).compile is not keras.Model.compile:
        _say_uncompiled(model, f"{type(model).__name__} has a `compile` of its own")
        return False
    config = dict(model._compile_config.config)
    try:
        if foreign_only and _names_this_package(model.get_compile_config()):
            return False
        config["optimizer"] = _copy(config["optimizer"])
        for key in ("metrics", "weighted_metrics"):
            config[key] = keras.tree.map_structure(_copy, config[key])
    except Exception as error:  # Of an object of one's own that does not tell its arguments.
        reason = " ".join(str(error).split())
        _say_uncompiled(
            model, f"an object in it cannot be copied ({type(error).__name__}: {reason})"
        )
        return False
    # Else an optimizer that was told not to scale would be wrapped.
    config["auto_scale_loss"] = isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    # These may have been set since.
    for key in ("run_eagerly", "jit_compile", "steps_per_execution"):
        config[key] = getattr(model, key)
    twin.compile(**config)
    return True


def _say_uncompiled(model: keras.Model, why: str) -> None:
    warnings.warn(
        f"The model that comes back of {model.name!r} is not compiled: {why}. Compile it.",
        stacklevel=4,
    )


def goes_by_output_names(model: keras.Model) -> bool:
    """Returns whether losses, their weights or metrics are given by the names of the outputs."""
    if not model.compiled or not hasattr(model, "_compile_config"):
        return False
    config = model._compile_config.config
    keys = ("loss", "loss_weights", "metrics", "weighted_metrics")
    return any(isinstance(config[key], dict) for key in keys)


def _copy(value: Any) -> Any:
    if not isinstance(value, (keras.optimizers.Optimizer, keras.metrics.Metric)):
        return value  # A name, a function or None.
    objects = {type(value).__name__: type(value)}
    function = getattr(value, "_fn", None)  # That of a MeanMetricWrapper.
    if function is not None:
        objects[getattr(function, "__name__", "")] = function
    with keras.saving.custom_object_scope(objects):
        return type(value).from_config(value.get_config())


def _names_this_package(config: Any) -> bool:
    """Returns whether a serialised config needs this package where it is read."""
    if isinstance(config, dict):
        return any(
            isinstance(value, str) and value.split(".")[0].split(">")[0] == PACKAGE
            for value in (config.get("module"), config.get("registered_name"))
        ) or any(_names_this_package(value) for value in config.values())
    return isinstance(config, (list, tuple)) and any(map(_names_this_package, config))
