"""Objects from what their `get_config` returned, with errors that name the class and the key."""

import re
from collections.abc import Mapping
from typing import Any

import keras

from keras_selectscale.checks import ArgumentError, ArgumentValueError

# TensorFlow ends the process if a list of more than 254 levels becomes a tensor.
DEEPEST = 100
# What Python and Keras say of keys, and what is wrong with these.
FAULTS = {
    r"missing \d+ required [\w -]+: (.*)": "missing",
    r"unexpected keyword argument ('.*')": "unknown",
    r"Unrecognized keyword arguments passed to \w+: {('.*?')": "unknown",
}


def create(cls: Any, config: Any, objects: tuple[str, ...] = ()) -> Any:
    """Creates an object of a class from what its `get_config` returned.

    The values of the keys `objects` may be objects in Keras' serialized form. If a key is missing,
    unknown or has a value that is not allowed, the error is a `ValueError`.
    """
    key, arguments = "", {}
    try:
        for key, value in dict(config).items():
            if _is_deep(value):
                raise ValueError("it is nested too deeply")
            is_object = key in objects and isinstance(value, Mapping)
            arguments[key] = keras.saving.deserialize_keras_object(value) if is_object else value
        key = ""
        return cls(**arguments)
    except Exception as error:  # Keras raises errors of no common class.
        key = key or getattr(error, "argument", "")
        reason = _reason(error)
        where = f"the key `{key}`: " if key and f"`{key}`" not in reason else ""
        message = f"{cls.__name__} cannot be created from its config: {where}{reason}"
        raise ArgumentValueError.about(key, message) from None


def _is_deep(value: Any, level: int = 1) -> bool:
    values = value.values() if isinstance(value, Mapping) else value
    nested = isinstance(value, Mapping | list | tuple)
    return nested and (level > DEEPEST or any(_is_deep(one, level + 1) for one in values))


def _reason(error: Exception) -> str:
    """Returns an error's message in one line, without the config that Keras repeats in it."""
    text = " ".join(str(error).rpartition("Exception encountered: ")[2].split())
    for pattern, fault in FAULTS.items():
        if found := re.search(pattern, text):
            return f"the key {found[1]} is {fault}"
    text = re.split(" Full (?:object )?config:", text)[0]
    # Python's own errors do not say what they are about.
    named = isinstance(error, ArgumentError) or "`" in text or type(error) is ValueError
    return text[:300] if named else "it is not what Keras writes"
