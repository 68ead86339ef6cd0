"""Answers a call with a wrong argument name by the name to write instead."""

import difflib
import functools
import inspect
from collections.abc import Callable, Sequence
from typing import ParamSpec, TypeVar

from keras_selectscale.checks import ArgumentTypeError, shown

Taken = ParamSpec("Taken")
Returned = TypeVar("Returned")
Class = TypeVar("Class", bound=type)

LEAST_SIMILAR = 0.7
# What Keras, timm, KerasTuner and PyTorch call an argument, and its names here.
ELSEWHERE = {
    "amp": ("precision",),
    "bs": ("batch_size",),
    "data": ("dataset", "images"),
    "directory": ("dir", "data_dir", "folder", "path"),
    "drop_path_rate": ("drop",),
    "drop_rate": ("drop",),
    "dropout": ("drop",),
    "dtype": ("precision",),
    "end": ("final_rate",),
    "epochs": ("steps",),
    "executions_per_trial": ("seeds",),
    "file_format": ("format",),
    "filepath": ("path",),
    "image": ("images",),
    "inputs": ("x", "images"),
    "jobs": ("workers",),
    "keep_prob": ("retaining_rate",),
    "layer": ("drop",),
    "layers": ("after",),
    "lr": ("learning_rate",),
    "max_epochs": ("epochs",),
    "max_trials": ("trials",),
    "method": ("drop", "methods"),
    "model": ("network", "name"),
    "model_name": ("name", "network"),
    "n_samples": ("samples",),
    "n_trials": ("trials",),
    "name": ("run", "network"),
    "num_classes": ("classes",),
    "num_epochs": ("epochs",),
    "num_samples": ("samples", "train_size"),
    "num_seeds": ("seeds",),
    "num_trials": ("trials",),
    "num_workers": ("workers",),
    "output": ("out", "run", "path"),
    "project_name": ("directory", "dir"),
    "random_seed": ("seed",),
    "random_state": ("seed",),
    "rate": ("retaining_rate",),
    "run_name": ("run",),
    "runs": ("seeds",),
    "save_dir": ("run", "out", "runs_dir"),
    "target_size": ("image_size",),
    "total_steps": ("steps",),
    "test_size": ("share",),
    "validation_split": ("share", "validation_share"),
    "wd": ("weight_decay",),
    "where": ("after",),
}


def named_arguments(function: Callable[Taken, Returned]) -> Callable[Taken, Returned]:
    """Makes a function answer an unknown keyword, or a position too many, by what to write.

    Python says only that the argument was unexpected. What is missing, Python names itself.
    """
    return _explained(function, function.__name__, 0)


def named_attributes(cls: Class) -> Class:
    """Makes the constructor of a class answer like `named_arguments`."""
    cls.__init__ = _explained(cls.__init__, cls.__name__, 1)  # type: ignore[misc]
    return cls


def _explained(
    function: Callable[Taken, Returned], name: str, bound: int
) -> Callable[Taken, Returned]:
    parameters = list(inspect.signature(function).parameters.values())[bound:]
    positional = [each.name for each in parameters if each.kind is each.POSITIONAL_OR_KEYWORD]
    only_named = [each.name for each in parameters if each.kind is each.KEYWORD_ONLY]
    names = [*positional, *only_named]
    is_open = any(each.kind is each.VAR_KEYWORD for each in parameters)
    most = len(positional) + bound

    @functools.wraps(function)
    def call(*args: Taken.args, **kwargs: Taken.kwargs) -> Returned:
        if len(args) > most:
            placed = " and ".join(f"`{each}`" for each in positional) or "no argument"
            advice = f"; write {_listed(only_named)}" if only_named else ""
            message = f"{name} takes {placed} by position{advice}. Received: {shown(args[most])}"
            raise ArgumentTypeError.about("", message)
        if not is_open and (unknown := [each for each in kwargs if each not in names]):
            wrong = unknown[0]
            message = f"{name} has no argument `{wrong}`; {_instead(wrong, names)}"
            raise ArgumentTypeError.about(
                wrong, f"{message}. Received: {wrong}={shown(kwargs[wrong])}"
            )
        return function(*args, **kwargs)

    return call


def name_instead(wrong: str, names: Sequence[str]) -> str | None:
    """Returns which of some names is probably meant by another one, or `None`."""
    known = [name for name in ELSEWHERE.get(wrong, ()) if name in names]
    found = known or difflib.get_close_matches(wrong, names, 1, LEAST_SIMILAR)
    return found[0] if found else None


def _instead(wrong: str, names: list[str]) -> str:
    if meant := name_instead(wrong, names):
        return f"write `{meant}=`{' (1 - rate)' * (wrong == 'rate')}"
    return f"it has {_listed(names)}"


def _listed(names: list[str]) -> str:
    return ", ".join(f"`{name}=`" for name in names) or "none"
