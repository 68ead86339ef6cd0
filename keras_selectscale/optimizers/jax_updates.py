"""Fewer kernels for the updates of small weights on JAX's accelerators."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

# XLA gives a kernel at most 64 arrays. An update reads and writes the weight and its momentum.
MOST = 16


def gathered(gradients: Sequence[Any]) -> list[Any]:
    """Returns the gradients, in which vectors of one size are slices of one array.

    A network has two vectors for each batch normalization. XLA updates each in a kernel of its own,
    whose few numbers cost as much time as a million, unless the updates read the same array and
    have the same shape: then it makes one kernel of them.

    Args:
        gradients: Gradient of each weight, or `None`.
    """
    gradients = list(gradients)
    if jax.default_backend() == "cpu":
        return gradients
    alike: dict[tuple, list[int]] = defaultdict(list)
    for number, gradient in enumerate(gradients):
        if isinstance(gradient, jax.core.Tracer) and gradient.ndim == 1:
            alike[gradient.shape, gradient.dtype].append(number)
    for numbers in alike.values():
        for begin in range(0, len(numbers), MOST):
            part = numbers[begin : begin + MOST]
            if len(part) > 1:
                # Without the barrier, XLA would take each slice from the gradient itself.
                array = jax.lax.optimization_barrier(jnp.stack([gradients[each] for each in part]))
                for row, each in enumerate(part):
                    gradients[each] = array[row]
    return gradients
