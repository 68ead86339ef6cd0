"""Batch normalization on JAX, with the gradient of the whole instead of that of each operation.

JAX differentiates the mean, the variance and the products one by one. The gradient through the mean
in the variance is zero, but XLA computes it, by another reduction that reads all of the input.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp


@functools.partial(jax.custom_vjp, nondiff_argnums=(3, 4))
def batch_normalization(
    inputs: Any, gamma: Any, beta: Any, axis: int, epsilon: float
) -> tuple[Any, Any, Any]:
    """Normalizes over all axes but one, in float32 or better, with the operations of Keras.

    Args:
        inputs: Floating-point tensor.
        gamma: Scale of each channel.
        beta: Offset of each channel.
        axis: Axis of the channels, counted from the front.
        epsilon: Added to the variance.

    Returns:
        The output in the dtype of `inputs`, and the mean and the biased variance of each channel,
        which have no gradient.
    """
    return _forward(inputs, gamma, beta, axis, epsilon)[0]


def _forward(inputs: Any, gamma: Any, beta: Any, axis: int, epsilon: float) -> Any:
    values = inputs.astype(gamma.dtype)
    axes = _other_axes(inputs, axis)
    mean = jnp.mean(values, axes, keepdims=True)
    variance = jnp.var(values, axes, keepdims=True)
    inverse = jax.lax.rsqrt(variance + epsilon)
    scale = inverse * gamma.reshape(mean.shape)
    outputs = values * scale + (-mean * scale + beta.reshape(mean.shape))
    returned = outputs.astype(inputs.dtype), mean.ravel(), variance.ravel()
    return returned, (inputs, gamma, mean, inverse)


def _backward(axis: int, epsilon: float, saved: Any, upstream: Any) -> Any:
    inputs, gamma, mean, inverse = saved
    gradient = upstream[0].astype(gamma.dtype)
    axes = _other_axes(inputs, axis)
    normalized = (inputs.astype(gamma.dtype) - mean) * inverse
    to_beta = jnp.sum(gradient, axes, keepdims=True)
    to_gamma = jnp.sum(gradient * normalized, axes, keepdims=True)
    count = max(inputs.size // gamma.size, 1)
    scale = gamma.reshape(mean.shape) * inverse
    to_inputs = scale * (gradient - to_beta / count - normalized * (to_gamma / count))
    return to_inputs.astype(inputs.dtype), to_gamma.ravel(), to_beta.ravel()


def _other_axes(inputs: Any, axis: int) -> tuple[int, ...]:
    return tuple(each for each in range(inputs.ndim) if each != axis)


batch_normalization.defvjp(_forward, _backward)
