"""What a comparison compares: drop methods, at their default rates or at others."""

import dataclasses
import statistics
from collections.abc import Sequence
from typing import Any

from keras_selectscale.checks import ArgumentValueError, shown, value_error
from keras_selectscale.layers.methods import METHODS
from keras_selectscale.object_checks import as_sequence
from keras_selectscale.training import Recipe

# What a text may set, with the type of the value.
SETTINGS = {"top_rate": float, "retaining_rate": float, "score": str}
FORM = (
    "a drop method or one with its settings, such as 'selectscale' or "
    "'selectscale:top_rate=0.1,retaining_rate=0.2'"
)


def as_contenders(name: str, values: Any, base: Recipe) -> tuple[str, ...]:
    """Returns methods in their shortest form, such as `selectscale:top_rate=0.1`.

    Args:
        name: Name of the argument.
        values: Names of methods, or texts such as `selectscale:top_rate=0.1,retaining_rate=0.2`.
        base: The recipe that all of them share.

    Raises:
        TypeError: If `values` is not a sequence.
        ValueError: If a text is malformed, a method unknown, a rate out of range, or two texts make
            the same drop.
    """
    texts = as_sequence(name, values)
    contenders: dict[str, Recipe] = {}
    for text in texts:
        method, settings = _parse(name, text)
        short = ",".join(f"{key}={settings[key]}" for key in SETTINGS if key in settings)
        key = f"{method}:{short}" if short else method
        try:
            recipe = recipe_of(key, base)
        except (TypeError, ValueError) as error:
            raise ArgumentValueError.about(
                name, f"Argument `{name}` must be {FORM}. Received: {name}={shown(text)}: {error}"
            ) from None
        if recipe in contenders.values():
            raise value_error(name, "different drops", texts)
        contenders[key] = recipe
    if not contenders:
        raise value_error(name, "one or more drops", values)
    return tuple(contenders)


def recipe_of(contender: str, base: Recipe, seed: int = 0) -> Recipe:
    """Returns the recipe that trains one of `as_contenders`."""
    method, settings = _parse("methods", contender)
    return dataclasses.replace(base, drop=method, seed=seed, **settings)


def folder_name(contender: str) -> str:
    """Returns the contender as a part of a folder's name."""
    return contender.translate(str.maketrans(":,=", "---"))


def title(contender: str) -> str:
    """Returns its title, with what differs from the defaults of the method."""
    method, settings = _parse("methods", contender)
    words = [f"{key.removesuffix('_rate')} {value}" for key, value in settings.items()]
    return " ".join([METHODS[method].title, *([f"({', '.join(words)})"] if words else [])])


def remark(summaries: dict[str, dict[str, Any]]) -> str:
    """Returns a sentence that names the methods that are worse than no drop, or an empty string.

    Args:
        summaries: The methods of `comparison.json`, whose errors are in the order of the seeds.
    """
    plain = summaries.get("none")
    if plain is None:
        return ""
    worse = []
    for contender, each in summaries.items():
        if each["mean"] > plain["mean"]:
            more = each["mean"] - plain["mean"]
            worse.append(f"{title(contender)} by {more:.2f}{_error_of(each, plain)}")
    if not worse:
        return ""
    return f"Worse than no drop here, in points: {', '.join(worse)}."


def _error_of(each: dict[str, Any], plain: dict[str, Any]) -> str:
    """Returns the standard error of a difference that is paired by seed."""
    pairs = zip(each["test_errors"], plain["test_errors"], strict=True)
    apart = [one - other for one, other in pairs]
    if len(apart) < 2:
        return ""
    return f" ± {statistics.stdev(apart) / len(apart) ** 0.5:.2f}"


def _parse(name: str, text: Any) -> tuple[str, dict[str, Any]]:
    if not isinstance(text, str):
        raise value_error(name, FORM, text)
    method, colon, rest = text.partition(":")
    if method not in METHODS:
        raise value_error(name, f"{FORM}, of {', '.join(map(repr, METHODS))}", text)
    settings: dict[str, Any] = {}
    parts: Sequence[str] = rest.split(",") if colon else ()
    for part in parts:
        key, equals, value = (word.strip() for word in part.partition("="))
        if not equals or key not in SETTINGS or key in settings:
            raise value_error(name, f"{FORM}, with {', '.join(SETTINGS)}", text)
        try:
            settings[key] = SETTINGS[key](value)
        except ValueError:
            raise value_error(name, f"{FORM}, with a number for {key}", text) from None
    return method, settings
