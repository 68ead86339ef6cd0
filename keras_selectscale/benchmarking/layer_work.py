"""A layer, forward and backward, as training runs it on each backend."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

Work = Callable[[], Any]


def layer_work(layer: keras.layers.Layer | None, mode: str, x: Any, gradient: Any) -> Work:
    """Returns a function that runs a layer forward and backward.

    As in a network, the layer receives its input and the gradient of the loss with respect to its
    output, and computes its output and the gradient with respect to its input. Each call of the
    function makes new draws.

    Args:
        layer: The layer, or `None` for the identity.
        mode: One of `backend_modes.modes()`.
        x: Input, a tensor on the device.
        gradient: Upstream gradient, of the shape and dtype of `x`.

    Returns:
        A function without arguments that returns the output and the gradient.
    """
    makers = {"tensorflow": _tensorflow_work, "jax": _jax_work, "torch": _torch_work}
    if layer is not None and not layer.built:
        layer.build(tuple(x.shape))
    return makers[keras.backend.backend()](layer, mode, x, gradient)


def copy_work(mode: str, x: Any) -> Work:
    """Returns a function that reads a tensor once and writes a tensor of its size once.

    It negates the tensor, because a compiler may optimize `x + 0` away.
    """
    if mode in ("graph", "xla"):
        import tensorflow as tf

        compiled = tf.function(ops.negative, jit_compile=mode == "xla")
    elif mode == "jit":
        import jax

        compiled = jax.jit(ops.negative)
    else:
        compiled = ops.negative
    return lambda: compiled(x)


def _tensorflow_work(layer: Any, mode: str, x: Any, gradient: Any) -> Work:
    import tensorflow as tf

    @tf.function(jit_compile=mode == "xla")
    def run(x: Any, gradient: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = x if layer is None else layer(x, training=True)
        return y, tape.gradient(y, x, output_gradients=gradient)

    return lambda: run(x, gradient)


def _jax_work(layer: Any, mode: str, x: Any, gradient: Any) -> Work:
    import jax

    def forward(x: Any, state: Any) -> Any:
        if layer is None:
            return x, state
        return layer.stateless_call([], state, x, training=True)

    @jax.jit
    def run(state: Any, x: Any, gradient: Any) -> Any:
        y, pull_back, state = jax.vjp(lambda x: forward(x, state), x, has_aux=True)
        return y, pull_back(gradient)[0], state

    # The state of the seed is passed from call to call.
    state = [] if layer is None else [v.value for v in layer.non_trainable_variables]

    def work() -> Any:
        nonlocal state
        y, backward, state = run(state, x, gradient)
        return y, backward

    return work


def _torch_work(layer: Any, mode: str, x: Any, gradient: Any) -> Work:
    import torch

    x = x.detach().requires_grad_()

    def work() -> Any:
        y = x if layer is None else layer(x, training=True)
        return y, torch.autograd.grad(y, x, gradient)[0]

    return work
