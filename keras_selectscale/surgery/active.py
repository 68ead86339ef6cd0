"""Drops that stay on in inference."""

import contextlib
import functools
import inspect
from collections.abc import Iterator
from typing import Any

import keras

from keras_selectscale.layers.feature_drop import FeatureDrop
from keras_selectscale.surgery import drop_kinds
from keras_selectscale.surgery.drop_kinds import Which

# What Keras has traced, with the drops as they were then.
TRACED = ("train_function", "test_function", "predict_function")
# What it is traced from. `jax.jit` knows a method again and would give out its old trace.
STEPS = ("train_step", "test_step", "predict_step")


@contextlib.contextmanager
def drops_active(model: keras.Layer, *, which: Which = "all") -> Iterator[None]:
    """Keeps the drops of a model on, while everything else stays as it is called.

    `model(x)`, `model.predict` and `model.evaluate` draw as in training, and BatchNormalization
    uses its moving statistics: drops at test time (Figure 3 of the paper), and Monte-Carlo
    predictions (`mc_predict`). Every drop layer is reached, in any kind of model: in nested and
    subclassed ones, inside TimeDistributed and other composite layers. Drops that are no layers
    (`LSTM(dropout=…)`) are not.

    What Keras has traced for the model before is put aside and comes back after; contexts nest;
    after an exception the drops are off again. A function of one's own that was traced with
    `tf.function` or `jax.jit` stays as it was traced, and so does what Keras has traced for another
    model with the same layers: make it inside, and use it only there. The context is one of the
    model and not of a thread.

    Weights stay as they are, statistics included; the count of a scheduled rate stands still, and
    the rate is that of the count. The seeds go on, as with every draw.

    Args:
        model: A model, or a layer.
        which: `"all"` for the drops of this package and of Keras, `"selectscale"` for this
            package's alone.

    Raises:
        TypeError: Where `model` is no layer.
        ValueError: Where it has no such drop, or `which` is none of its values.

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
                stack.enter_context(_replaced(owner, name, _anew(getattr(owner, name))))
        for layer in drops:
            stack.enter_context(_replaced(layer, "call", _always_training(layer.call)))
            if isinstance(layer, FeatureDrop):
                stack.enter_context(
                    _replaced(layer, "next_retaining_rate", layer.current_retaining_rate)
                )
        yield


def drops_of(model: Any, which: str) -> list[keras.Layer]:
    """Returns the drops of a model, or raises where it has none."""
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


def _anew(method: Any) -> Any:
    """Returns a function of its own that does what `method` does."""

    @functools.wraps(method)
    def step(*args: Any, **kwargs: Any) -> Any:
        return method(*args, **kwargs)

    return step


def _always_training(call: Any) -> Any:
    """Returns `call` with its `training` on."""
    signature = inspect.signature(call)

    @functools.wraps(call)
    def active(*args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(*args, **kwargs)
        bound.arguments["training"] = True
        return call(*bound.args, **bound.kwargs)

    return active


@contextlib.contextmanager
def _replaced(layer: keras.Layer, name: str, method: Any) -> Iterator[None]:
    """Puts a function in the place of a layer's method."""
    # An outer context has its own there.
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
    """Puts aside what Keras has traced, and what is traced meanwhile thereafter."""
    before = {name: getattr(model, name, None) for name in TRACED}
    compilation = getattr(model, "_compile_config", None)
    for name in TRACED:
        setattr(model, name, None)
    try:
        yield
    finally:
        # Of a compilation that is gone nothing may come back.
        same = getattr(model, "_compile_config", None) is compilation
        for name in TRACED:
            setattr(model, name, before[name] if same else None)
