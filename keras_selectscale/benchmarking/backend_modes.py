"""How each backend compiles a step, and how to wait for its results."""

import sys
from typing import Any

import keras

# How users train on each backend; TensorFlow has two ways.
MODES: dict[str, tuple[str, ...]] = {
    "tensorflow": ("graph", "xla"),
    "jax": ("jit",),
    "torch": ("eager",),
}


def modes() -> tuple[str, ...]:
    """Returns the modes of the active backend."""
    return MODES[keras.backend.backend()]


def device_name() -> str:
    """Returns the device on which the active backend computes, such as `"cpu"`."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        gpus = tf.config.list_logical_devices("GPU")
        if not gpus:
            return "cpu"
        physical = tf.config.list_physical_devices("GPU")[0]
        details = tf.config.experimental.get_device_details(physical)
        return f"gpu ({details.get('device_name', gpus[0].name)})"
    if backend == "jax":
        import jax

        device = jax.devices()[0]
        return "cpu" if device.platform == "cpu" else f"{device.platform} ({device.device_kind})"
    import torch

    device = keras.ops.zeros(1).device
    return f"gpu ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else device.type


def wait(result: Any) -> None:
    """Returns when a result is computed, and all work that was submitted before it.

    Reading a part of the result is not enough: more work may be submitted than is done.
    """
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        tf.test.experimental.sync_devices()
    elif backend == "jax":
        import jax

        jax.block_until_ready(result)
    # Plain PyTorch is a side on every backend.
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.synchronize()


def waits_each_call() -> bool:
    """Returns whether to wait for each result instead of the last one of several.

    On a CPU, JAX computes asynchronously, and two calls that do not depend on each other may
    overlap. TensorFlow and PyTorch return when the work is done, and an accelerator runs one call
    after the other, as in a network.
    """
    return keras.backend.backend() == "jax" and device_name() == "cpu"
