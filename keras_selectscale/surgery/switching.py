"""Drops switched on in inference, and switched off altogether."""

import contextlib
import functools
import inspect
from collections.abc import Iterator
from typing import Any

import keras

from keras_selectscale.layers.feature_drop import FeatureDrop
from keras_selectscale.surgery import drop_kinds
from keras_selectscale.surgery.compilation import compilation_of
from keras_selectscale.surgery.drop_kinds import Which

# What Keras has traced, with the drops as they were at that time.
TRACED = ("train_function", "test_function", "predict_function")
# What it is traced from: `jax.jit` caches by method and would reuse the stale trace.
STEPS = ("train_step", "test_step", "predict_step")
_ABSENT = object()


@contextlib.contextmanager
def drops_active(model: keras.Layer, *, which: Which = "all") -> Iterator[None]:
    """Keeps the drops of a model active while everything else runs as it is called.

    Within the context `model(x)`, `model.predict` and `model.evaluate` draw as in training, and
    BatchNormalization uses its moving statistics: use it for drops at test time (Figure 3 of the
    paper) and for Monte-Carlo predictions (`mc_predict`). Every drop layer is reached, in any kind
    of model: nested and subclassed ones, inside TimeDistributed and other composite layers. Drops
    that are not layers (`LSTM(dropout=…)`) are not.

    Functions that Keras has traced for the model before are put aside and return afterwards.
    Contexts can be nested, and an exception ends them. A function that you traced yourself with
    `tf.function` or `jax.jit` stays as it was traced, and so does what Keras has traced for another
    model with the same layers: trace it inside the context, and use it only there. The context
    belongs to the model, not to a thread.

    Weights stay as they are, statistics included. The count of a scheduled rate does not move: the
    rate is the one at the current count. Seeds advance as with every draw.

    Args:
        model: A model or a layer.
        which: `"all"` for the drops of this package and of Keras, `"selectscale"` for those of this
            package only.

    Raises:
        TypeError: If `model` is not a layer.
        ValueError: If `model` has no such drop, or `which` is neither of its values.

    Example:

    ```python
    with drops_active(model):
        first, second = model.predict(images), model.predict(images)  # They differ.
    ```
    """
    drop_kinds.check_which(which)
    drops = drops_of(model, which)
    models = [layer for layer in drop_kinds.all_layers(model) if isinstance(layer, keras.Model)]
    with contextlib.ExitStack() as stack:
        for owner in models:
            stack.enter_context(_nothing_traced(owner))
            for name in STEPS:
                stack.enter_context(_replaced(owner, name, _new_function(getattr(owner, name))))
        for layer in drops:
            stack.enter_context(_replaced(layer, "call", _always_training(layer.call)))
            if isinstance(layer, FeatureDrop):
                stack.enter_context(
                    _replaced(layer, "next_retaining_rate", layer.current_retaining_rate)
                )
        yield


@contextlib.contextmanager
def drops_off(model: keras.Layer) -> Iterator[None]:
    """Makes every drop in a model the identity, even if it is called with `training=True`.

    A model may call its drops with `training=True` (Monte-Carlo dropout), and then no flag from
    outside reaches them. Recurrent cells draw their masks in inference too, and leave them unused.
    """
    changes: list[tuple[keras.Layer, str, Any]] = []
    for layer in drop_kinds.all_layers(model):
        if drop_kinds.is_drop(layer):
            changes.append((layer, "call", _identity))
        elif hasattr(layer, "get_dropout_mask"):
            changes += [
                (layer, name, 0.0) for name in drop_kinds.INNER_RATES if hasattr(layer, name)
            ]
    # `drops_active` may have put a call there.
    before = [vars(layer).get(name, _ABSENT) for layer, name, _ in changes]
    for layer, name, value in changes:
        # Keras would track the value.
        object.__setattr__(layer, name, value)
    try:
        yield
    finally:
        for (layer, name, _), value in zip(changes, before, strict=True):
            if value is _ABSENT:
                object.__delattr__(layer, name)
            else:
                object.__setattr__(layer, name, value)


def drops_of(model: Any, which: str) -> list[keras.Layer]:
    """Returns the drops of a model, or raises an error if it has none."""
    if not isinstance(model, keras.Layer):
        raise TypeError(
            "Argument `model` must be a Keras model or layer. "
            f"Received: model={model!r} (of type {type(model).__name__})"
        )
    drops = drop_kinds.find_drops(model, which)
    if not drops:
        whose = "of this package" if which == "selectscale" else "of this package or of Keras"
        raise ValueError(
            f"Argument `model` must have a drop layer {whose} that is built with it. "
            f"Received: {type(model).__name__} {model.name!r}, which has none"
        )
    return drops


def _identity(inputs: Any, *args: Any, **kwargs: Any) -> Any:
    return inputs


def _new_function(method: Any) -> Any:
    """Returns a new function that does what `method` does."""

    @functools.wraps(method)
    def step(*args: Any, **kwargs: Any) -> Any:
        return method(*args, **kwargs)

    return step


def _always_training(call: Any) -> Any:
    """Returns `call` with `training=True`."""
    signature = inspect.signature(call)

    @functools.wraps(call)
    def active(*args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(*args, **kwargs)
        bound.arguments["training"] = True
        return call(*bound.args, **bound.kwargs)

    return active


@contextlib.contextmanager
def _replaced(layer: keras.Layer, name: str, method: Any) -> Iterator[None]:
    """Replaces a method of a layer by a function."""
    # An outer context may have replaced it too.
    there, before = name in vars(layer), vars(layer).get(name)
    setattr(layer, name, method)
    try:
        yield
    finally:
        if there:
            setattr(layer, name, before)
        else:
            delattr(layer, name)


@contextlib.contextmanager
def _nothing_traced(model: keras.Model) -> Iterator[None]:
    """Puts aside what Keras has traced before, and drops what it traces within."""
    before = {name: getattr(model, name, None) for name in TRACED}
    compilation = compilation_of(model)
    for name in TRACED:
        setattr(model, name, None)
    try:
        yield
    finally:
        # If the model was compiled again, the old functions are stale.
        same = compilation_of(model) is compilation
        for name in TRACED:
            setattr(model, name, before[name] if same else None)
