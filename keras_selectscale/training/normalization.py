"""Batch normalization by the backend's fused kernel instead of Keras' products, casts and sums.

Keras composes `BatchNormalization` from float32 operations. TensorFlow and PyTorch have one kernel
for the whole, forward and backward, which reads half precisions directly. On accelerators, JAX
takes a gradient of the whole that is written by hand.

Keras has no public way to choose how a layer computes, except for another class, whose name would
be in every saved file. The method `call` of the object is therefore replaced, as Keras itself does
for some layers, and nothing else of the layer changes. The replacement reads no private name of
Keras.
"""

import contextlib
import functools
import types
from typing import Any, NamedTuple

import keras
from keras import ops

from keras_selectscale.object_checks import as_instance
from keras_selectscale.surgery.drop_kinds import all_layers

HALVES = ("bfloat16", "float16")


class Normalized(NamedTuple):
    """What a kernel returns: the output, and the mean and biased variance of each channel."""

    outputs: Any
    mean: Any
    variance: Any


def fuse_normalization(model: keras.Layer) -> contextlib.AbstractContextManager[list[keras.Layer]]:
    """Makes the batch normalization of a model train with the backend's fused kernel.

    On a CPU a training step of a convolutional network becomes up to twice as fast. Call it before
    `fit`:

    ```python
    fuse_normalization(model)
    model.fit(x, y)
    ```

    or use the result as a context manager, at whose end the layers compute as before:

    ```python
    with fuse_normalization(model):
        model.fit(x, y)
    ```

    The kernels are `tf.raw_ops.FusedBatchNormV3` and `torch.nn.functional.batch_norm`. JAX has
    none: XLA fuses the operations of Keras. On an accelerator, the gradient is written by hand,
    which saves a pass over the input and excludes forward mode (`jax.jvp`). Outputs, gradients and
    moving statistics equal those of Keras up to rounding. Only the computation changes: the layers
    stay `keras.layers.BatchNormalization` with their weights, names and configs, and saved files,
    exports and clones contain no trace of it.

    A layer computes as in Keras if the backend has no kernel for its dtype, or for its axis (on
    TensorFlow, the channels must be last), if it is `synchronized` or uses `renorm`, if a mask is
    passed, in inference, if it is frozen, and if XLA compiles the step for TensorFlow or for a CPU,
    because it fuses the operations of Keras itself. So do layers of subclasses of
    `BatchNormalization`.

    Args:
        model: Built or unbuilt model, or a layer. All layers inside are included.

    Returns:
        A context manager that undoes the change at its end, and returns the layers that were
        changed. Ignore it to keep the change.

    Raises:
        TypeError: If `model` is not a Keras layer or model.
    """
    as_instance("model", model, keras.Layer, "a keras.Model or a layer")
    layers = [
        layer
        for layer in all_layers(model)
        if type(layer) is keras.layers.BatchNormalization and "call" not in vars(layer)
    ]
    if _kernel() is None:
        layers = []
    for layer in layers:
        # Bypasses Keras' tracking, because the layer's state does not change.
        vars(layer)["call"] = types.MethodType(_call, layer)
    undo = contextlib.ExitStack()
    undo.callback(_restore, model, layers)
    _forget_trace(model, layers)
    return _Undo(layers, undo)


class _Undo(contextlib.AbstractContextManager):
    """Undoes a change at the end of the context."""

    def __init__(self, layers: list[keras.Layer], undo: contextlib.ExitStack):
        self._layers = layers
        self._undo = undo

    def __enter__(self) -> list[keras.Layer]:
        return self._layers

    def __exit__(self, *error: Any) -> None:
        self._undo.close()


def _restore(model: keras.Layer, layers: list[keras.Layer]) -> None:
    for layer in layers:
        vars(layer).pop("call", None)
    _forget_trace(model, layers)


def _forget_trace(model: keras.Layer, changed: list[keras.Layer]) -> None:
    """Makes `fit` trace the training step again, because its operations have changed."""
    if changed and getattr(model, "train_function", None) is not None:
        model.train_function = None


def _call(
    layer: keras.layers.BatchNormalization, inputs: Any, training: Any = None, mask: Any = None
) -> Any:
    """Replaces `BatchNormalization.call`."""
    found = None
    if training and layer.trainable and mask is None and _is_plain(layer, inputs):
        found = _kernel()(inputs, layer.axis % len(inputs.shape), _parameters(layer), layer.epsilon)
    if found is None:
        return type(layer).call(layer, inputs, training=training, mask=mask)
    for moving, value in (
        (layer.moving_mean, found.mean),
        (layer.moving_variance, found.variance),
    ):
        moving.assign(moving * layer.momentum + value * (1.0 - layer.momentum))
    return found.outputs


def _is_plain(layer: keras.layers.BatchNormalization, inputs: Any) -> bool:
    """Returns whether the layer does what the kernels do, in dtypes for which they are made."""
    given = keras.backend.standardize_dtype(inputs.dtype)
    variables = layer.variable_dtype
    return (
        not layer.synchronized
        and not getattr(layer, "renorm", False)
        and given == layer.compute_dtype
        and (given == variables or (given in HALVES and variables == "float32"))
        and variables not in HALVES
        and len(inputs.shape) > 1
    )


def _parameters(layer: keras.layers.BatchNormalization) -> tuple[Any, Any]:
    """Returns gamma and beta, or values without an effect in their place."""
    shape = tuple(layer.moving_mean.shape)
    gamma = layer.gamma.value if layer.scale else ops.ones(shape, layer.variable_dtype)
    beta = layer.beta.value if layer.center else ops.zeros(shape, layer.variable_dtype)
    return ops.convert_to_tensor(gamma), ops.convert_to_tensor(beta)


@functools.cache
def _kernel() -> Any:
    """Returns the function of the active backend, or `None` if it has no kernel."""
    calls = {"tensorflow": _on_tensorflow, "jax": _on_jax, "torch": _on_torch}
    return calls.get(keras.backend.backend())


def _on_jax(
    inputs: Any, axis: int, parameters: tuple[Any, Any], epsilon: float
) -> Normalized | None:
    import jax

    # There the gradients of Keras' operations take 0.94 of the time of a ResNet-8 step.
    if jax.default_backend() == "cpu":
        return None
    from keras_selectscale.training.jax_normalization import batch_normalization

    return Normalized(*batch_normalization(inputs, *parameters, axis, epsilon))


def _on_tensorflow(
    inputs: Any, axis: int, parameters: tuple[Any, Any], epsilon: float
) -> Normalized | None:
    import tensorflow as tf

    from keras_selectscale.layers.backends.tensorflow import in_xla

    rank, channels = len(inputs.shape), inputs.shape[axis]
    if axis != rank - 1 or inputs.dtype == tf.float64 or in_xla():
        return None
    _register_second_gradient()
    # Any rank is rows of channels. On a GPU, the kernel is made for images.
    images = inputs
    if rank != 4:
        if tf.config.list_logical_devices("GPU"):
            return None
        images = tf.reshape(inputs, (1, -1, 1, channels))
    found = tf.raw_ops.FusedBatchNormV3(
        x=images,
        scale=parameters[0],
        offset=parameters[1],
        mean=tf.constant([], tf.float32),
        variance=tf.constant([], tf.float32),
        epsilon=epsilon,
        is_training=True,
    )
    outputs = found.y
    if rank != 4:
        outputs = tf.reshape(outputs, tf.shape(inputs))
        outputs.set_shape(inputs.shape)
    size = inputs.shape.num_elements()
    count = tf.cast(tf.size(inputs) if size is None else size, tf.float32) / channels
    # The kernel returns the unbiased variance, and of one number the biased one.
    biased = found.batch_variance * (tf.maximum(count - 1.0, 1.0) / count)
    return Normalized(outputs, found.batch_mean, biased)


@functools.cache
def _register_second_gradient() -> None:
    """Registers the gradient of the kernel's gradient, which TensorFlow lacks.

    Without it, a gradient penalty that trains with Keras' operations would fail with the kernel.
    """
    import tensorflow as tf

    def gradient(operation: Any, *grads: Any) -> list[Any]:
        given = [tf.convert_to_tensor(each) for each in operation.inputs[:5]]
        is_training, epsilon = (operation.get_attr(name) for name in ("is_training", "epsilon"))
        rank = len(given[1].shape)
        channels = rank - 1 if operation.get_attr("data_format").endswith(b"C") else 1
        axes = [axis for axis in range(rank) if axis != channels]
        with tf.GradientTape() as tape:
            tape.watch(given[:3])
            found = _first_gradient(given, axes, epsilon, is_training)
        wanted = [None if each is None else tf.cast(each, "float32") for each in grads[:3]]
        return [*tape.gradient(found, given[:3], output_gradients=wanted), None, None, None]

    with contextlib.suppress(KeyError):  # A later version of TensorFlow, or another package.
        tf.RegisterGradient("FusedBatchNormGradV3")(gradient)


def _first_gradient(given: list[Any], axes: list[int], epsilon: float, is_training: bool) -> Any:
    """Returns the gradients of input, gamma and beta, composed of operations."""
    import tensorflow as tf

    upstream, inputs, gamma, mean, variance = (tf.cast(each, tf.float32) for each in given)
    if is_training:
        mean, variance = tf.nn.moments(inputs, axes, keepdims=True)
    shape = [1 if axis in axes else -1 for axis in range(len(inputs.shape))]
    mean, variance, scale = (tf.reshape(each, shape) for each in (mean, variance, gamma))
    inverse = tf.math.rsqrt(variance + epsilon)
    normalized = (inputs - mean) * inverse
    towards_gamma = tf.reduce_sum(upstream * normalized, axes)
    towards_beta = tf.reduce_sum(upstream, axes)
    if is_training:
        upstream = (
            upstream
            - tf.reduce_mean(upstream, axes, keepdims=True)
            - normalized * tf.reduce_mean(upstream * normalized, axes, keepdims=True)
        )
    return [scale * inverse * upstream, towards_gamma, towards_beta]


def _on_torch(
    inputs: Any, axis: int, parameters: tuple[Any, Any], epsilon: float
) -> Normalized | None:
    import torch

    channels = inputs.shape[axis]
    count = inputs.numel() // max(channels, 1)
    if count < 2:  # PyTorch refuses these.
        return None
    # PyTorch requires the channels in front. Memory in which they are last keeps its layout.
    images = inputs
    if axis != 1:
        images = inputs.movedim(axis, -1)
        shape = images.shape
        images = images.reshape(shape[0], -1, 1, channels).permute(0, 3, 1, 2)
    # With a momentum of 1, they become the statistics of the batch.
    mean, variance = (torch.zeros_like(parameters[0]) for _ in range(2))
    outputs = torch.nn.functional.batch_norm(
        images, mean, variance, *parameters, training=True, momentum=1.0, eps=epsilon
    )
    if axis != 1:
        outputs = outputs.permute(0, 2, 3, 1).reshape(shape).movedim(-1, axis)
    # PyTorch returns the unbiased variance.
    return Normalized(outputs, mean, variance * ((count - 1) / count))
