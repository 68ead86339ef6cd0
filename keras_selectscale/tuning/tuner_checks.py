"""Checks of the arguments of a tuner."""

from typing import Any

import keras
import keras_tuner

from keras_selectscale.checks import as_number, type_error, value_error


def check_hypermodel(hypermodel: Any) -> None:
    """Raises a `TypeError` if an object is neither a hypermodel nor a function that builds one."""
    known = callable(hypermodel) or isinstance(hypermodel, keras_tuner.HyperModel)
    if not known or isinstance(hypermodel, type | keras.layers.Layer):
        expected = "a keras_tuner.HyperModel or a function build(hp) that returns a model"
        raise type_error("hypermodel", expected, hypermodel)


def check_prune_margin(margin: Any, tuner: str, seeds: int) -> float | None:
    """Checks a margin for `is_hopeless`, and returns it as a float; `None` prunes nothing.

    Raises:
        TypeError: If it is not a number.
        ValueError: If it is below 0, trials have a single seed, or the tuner is Hyperband, which
            continues a trial with all of its seeds.
    """
    if margin is None:
        return None
    if tuner == "hyperband" or seeds < 2:
        raise value_error(
            "prune_margin", "left out with the tuner 'hyperband' or with a single seed", margin
        )
    return as_number("prune_margin", margin, 0)


def check_listener(listener: Any) -> Any:
    """Returns the listener of a `DropTuner`; an object without its methods is a `TypeError`."""
    methods = ("on_trial_begin", "on_epoch_end", "on_trial_end")
    if listener is None or all(callable(getattr(listener, name, None)) for name in methods):
        return listener
    raise type_error("listener", f"None or an object with the methods {methods}", listener)
