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
    mean, variance = _moments(values, axes)
    inverse = jax.lax.rsqrt(variance + epsilon)
    scale = inverse * gamma.reshape(mean.shape)
    outputs = values * scale + (-mean * scale + beta.reshape(mean.shape))
    returned = outputs.astype(inputs.dtype), mean.ravel(), variance.ravel()
    return returned, (inputs, gamma, mean, inverse)


def _moments(values: Any, axes: tuple[int, ...]) -> tuple[Any, Any]:
    """Returns the mean and the biased variance, from sums that XLA takes in one pass.

    The sums are of the differences from the first value of each channel. The mean of the squares
    minus the square of the mean would lose the digits of a variance that is small next to the mean.
    """
    first = tuple(slice(0, 1) if each in axes else slice(None) for each in range(values.ndim))
    shift = jax.lax.stop_gradient(values[first])
    differences = values - shift
    count = differences.size // shift.size
    total, squares = _sums(axes, differences, jnp.square(differences))
    mean = total / count
    return mean + shift, jnp.maximum(squares / count - jnp.square(mean), 0.0)


def _sums(axes: tuple[int, ...], *values: Any) -> list[Any]:
    """Returns the sums of several arrays over the same axes, kept as axes of size 1.

    As one reduction of several arrays, they need one kernel for each of the two stages in which a
    GPU sums, and not one for each array.
    """

    def add(one: Any, other: Any) -> Any:
        return tuple(map(jnp.add, one, other))

    zeros = tuple(jnp.zeros((), each.dtype) for each in values)
    sums = jax.lax.reduce(values, zeros, add, axes)
    return [jnp.expand_dims(each, axes) for each in sums]


def _backward(axis: int, epsilon: float, saved: Any, upstream: Any) -> Any:
    inputs, gamma, mean, inverse = saved
    gradient = upstream[0].astype(gamma.dtype)
    axes = _other_axes(inputs, axis)
    normalized = (inputs.astype(gamma.dtype) - mean) * inverse
    to_beta, to_gamma = _sums(axes, gradient, gradient * normalized)
    count = max(inputs.size // gamma.size, 1)
    scale = gamma.reshape(mean.shape) * inverse
    to_inputs = scale * (gradient - to_beta / count - normalized * (to_gamma / count))
    return to_inputs.astype(inputs.dtype), to_gamma.ravel(), to_beta.ravel()


def _other_axes(inputs: Any, axis: int) -> tuple[int, ...]:
    return tuple(each for each in range(inputs.ndim) if each != axis)


batch_normalization.defvjp(_forward, _backward)
