"""Switches drops on in inference, or off even in training."""

import contextlib
import functools
import inspect
from collections.abc import Iterator
from typing import Any

import keras

from keras_selectscale.checks import shown
from keras_selectscale.layers.feature_drop import FeatureDrop
from keras_selectscale.surgery import drop_kinds
from keras_selectscale.surgery.compilation import compilation_of
from keras_selectscale.surgery.drop_kinds import Which

# Functions that Keras has traced, with the drops as they were at that time.
TRACED = ("train_function", "test_function", "predict_function")
# Methods from which they are traced: `jax.jit` caches by method and would reuse the stale trace.
STEPS = ("train_step", "test_step", "predict_step")
_ABSENT = object()


@contextlib.contextmanager
def drops_active(model: keras.Layer, *, which: Which = "all") -> Iterator[None]:
    """Keeps the drops of a model active while everything else runs as usual.

    Within the context, `model(x)`, `model.predict` and `model.evaluate` draw as in training, and
    BatchNormalization uses its moving statistics. Use it for drops at test time (Figure 3 of the
    paper) and for Monte-Carlo predictions (`mc_predict`). It reaches every drop layer in any kind
    of model, including nested and subclassed models, and inside TimeDistributed and other composite
    layers. It does not reach drops that are not layers (`LSTM(dropout=…)`).

    Functions that Keras has traced for the model are set aside and restored afterwards. Contexts
    can be nested, and an exception ends them. A function that you traced yourself with
    `tf.function` or `jax.jit` does not change, nor do those that Keras has traced for another model
    with the same layers. Trace such a function inside the context, and use it only there. The
    context belongs to the model, not to a thread.

    Weights do not change, and neither do statistics. The count of a scheduled rate does not
    advance; the rate is that of the current count. Seeds advance with every draw.

    Args:
        model: A model or a layer.
        which: `"all"` for the drops of this package and of Keras, `"selectscale"` for those of this
            package only.

    Raises:
        TypeError: If `model` is not a layer.
        ValueError: If `model` has no such drop, or `which` has an invalid value.

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
                stack.enter_context(replaced(owner, name, _new_function(getattr(owner, name))))
        for layer in drops:
            stack.enter_context(replaced(layer, "call", _always_training(layer.call)))
            if isinstance(layer, FeatureDrop):
                stack.enter_context(
                    replaced(layer, "next_retaining_rate", layer.current_retaining_rate)
                )
        yield


@contextlib.contextmanager
def drops_off(model: keras.Layer) -> Iterator[None]:
    """Makes every drop in a model the identity, even if it is called with `training=True`.

    A model may call its drops with `training=True` (Monte-Carlo dropout), and then no outer flag
    reaches them. Recurrent cells draw their masks in inference too, without using them.
    """
    changes: list[tuple[keras.Layer, str, Any]] = []
    for layer in drop_kinds.all_layers(model):
        if drop_kinds.is_drop(layer):
            changes.append((layer, "call", _identity))
        elif hasattr(layer, "get_dropout_mask"):
            changes += [
                (layer, name, 0.0) for name in drop_kinds.INNER_RATES if hasattr(layer, name)
            ]
    # `drops_active` may have replaced the call.
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
            f"Received: model={shown(model)} (of type {type(model).__name__})"
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
    """Returns a new function that calls `method`."""

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
def replaced(layer: keras.Layer, name: str, method: Any) -> Iterator[None]:
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
    """Sets aside the functions that Keras has traced, and discards those traced inside."""
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
