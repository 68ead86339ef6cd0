"""Objects from what their `get_config` returned, with errors that name the class and the key.

Keras would raise a `TypeError` that repeats the whole config of the layer and of its model. For the
same reason, the arguments that Keras checks itself are checked here first.
"""

import contextlib
import re
from collections.abc import Mapping
from typing import Any, TypeVar

import keras

from keras_selectscale.checks import ArgumentError, ArgumentValueError, shown, value_error

T = TypeVar("T")
LONGEST_REASON = 300
# TensorFlow ends the process if a list of more than 254 levels becomes a tensor.
DEEPEST = 100


def create(cls: type[T], config: Any, objects: tuple[str, ...] = ()) -> T:
    """Creates an object from its config.

    Args:
        cls: Its class.
        config: What `get_config` returned.
        objects: Keys whose values may be objects in Keras' serialized form.

    Raises:
        ValueError: If a key is missing, unknown, or has a value that is not allowed.
    """
    if not isinstance(config, Mapping) or not all(isinstance(key, str) for key in config):
        raise ArgumentValueError.about(
            "config",
            f"The config of {cls.__name__} must be a dict with the arguments of the class. "
            f"Received: config={shown(config)}",
        )
    config = dict(config)
    for key, value in config.items():
        if _is_deep(value):
            raise _error(cls, key, "it is nested too deeply")
    if not isinstance(config.get("trainable", True), bool):
        raise _error(cls, "trainable", f"expected a bool, received {shown(config['trainable'])}")
    for key in (*objects, "dtype"):
        if isinstance(config.get(key), Mapping):
            try:
                config[key] = _deserialized(key, config[key])
            # Keras raises errors of no common class if it reads another content than expected.
            except Exception as error:
                raise _error(cls, key, _reason(error)) from None
    try:
        return cls(**config)
    except Exception as error:
        missing = re.search(r"missing \d+ required [\w -]+: (.*)", str(error))
        reason = f"the key {missing[1]} is missing" if missing else _reason(error)
        key = getattr(error, "argument", "") or ("" if missing else _culprit(cls, config))
        raise _error(cls, key, reason) from None


def check_keras_arguments(dtype: Any, name: Any = None, **others: Any) -> None:
    """Checks arguments of every Keras layer, for which Keras names no argument or echoes all."""
    if name is not None and (not isinstance(name, str) or "/" in name):
        raise value_error("name", "a string without `/`", name)
    try:
        policy = keras.dtype_policies.get(dtype)
        floating = keras.backend.is_float_dtype(policy.compute_dtype)
    except Exception:  # Keras reads policies of several forms.
        floating = False
    if not floating:
        raise value_error("dtype", "a floating-point dtype or a policy that computes in one", dtype)


def _is_deep(value: Any) -> bool:
    """Returns whether lists and dicts are nested in more than `DEEPEST` levels."""
    level = [value] if isinstance(value, dict | list | tuple) else []
    for _ in range(DEEPEST):
        inner = [each.values() if isinstance(each, dict) else each for each in level]
        level = [one for each in inner for one in each if isinstance(one, dict | list | tuple)]
        if not level:
            return False
    return True


def _deserialized(key: str, value: Any) -> Any:
    if key != "dtype":
        return keras.saving.deserialize_keras_object(value)
    policy = keras.dtype_policies.deserialize(value)
    simple = isinstance(policy, keras.dtype_policies.DTypePolicy) and not policy.quantization_mode
    # As Keras does it: `get_config` of a model may write the name.
    return policy.name if simple and not hasattr(policy, "default_policy") else policy


def _culprit(cls: type, config: dict[str, Any]) -> str:
    """Returns the key without which the object can be created, or an empty string."""
    for key in config:
        with contextlib.suppress(Exception):
            cls(**{name: value for name, value in config.items() if name != key})
            return key
    return ""


def _error(cls: type, key: str, reason: str) -> ArgumentValueError:
    where = "" if not key or f"`{key}`" in reason else f"the key `{key}`: "
    message = f"{cls.__name__} cannot be created from its config: {where}{reason}"
    return ArgumentValueError.about(key, message)


def _reason(error: Exception) -> str:
    """Returns an error's message in one line, without the config that Keras repeats in it."""
    if isinstance(error, ArgumentError):
        return str(error)
    text = " ".join(str(error).rpartition("Exception encountered: ")[2].split())
    text = text.partition(" Full object config:")[0].partition(" Full config:")[0]
    # Python's own errors do not say what they are about.
    raw = not isinstance(error, ValueError | OSError | ImportError) and "`" not in text
    if not text or raw or isinstance(error, UnicodeError):
        text = "it is not what Keras writes"
    return text if len(text) <= LONGEST_REASON else f"{text[:LONGEST_REASON]}…"
