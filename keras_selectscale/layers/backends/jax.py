"""Functions that are faster in JAX than in `keras.ops`."""

from typing import Any

import jax
import jax.numpy as jnp
import keras

from keras_selectscale.layers import feature_maps
from keras_selectscale.layers.backends import ranking
from keras_selectscale.layers.backends.ranking import sort_keys


def top_k_mask(values: Any, count: Any) -> Any:
    """Returns `ranking.top_k_mask_by_rank` of float32 values."""
    return by_counting(values, count) if _on_one_cpu() else by_order(values, count)


def max_score_mask(inputs: Any, channel_axis: int, count: int) -> Any:
    """Returns the mask of the `count` maps of each sample with the highest `max_score`."""
    axes = feature_maps.spatial_axes(channel_axis, inputs.ndim)
    if inputs.dtype == jnp.float32:
        # Two plain reductions are faster in XLA than one of a magnitude.
        values = jnp.maximum(jnp.max(inputs, axes), -jnp.min(inputs, axes))
    else:
        values = jnp.max(jnp.abs(inputs.astype("float32")), axes)
    return top_k_mask(values, count)


def computed_once(factor: Any) -> Any:
    """Returns the factor through a branch, which keeps XLA from fusing it into loops.

    On a CPU, XLA recomputes small values for each element of the maps in every loop that reads
    them: the ranks, the draws and the choice, once forward and twice backward.
    """
    # Outside a trace, there is no loop, and a branch would be compiled at every call.
    if not isinstance(factor, jax.core.Tracer) or not _on_one_cpu():
        return factor
    # The compiler cannot know that no value is NaN.
    is_number = jnp.all(factor.ravel()[:1] >= -jnp.inf)
    return jax.lax.cond(is_number, lambda value: value, jnp.abs, factor)


def _on_one_cpu() -> bool:
    # A loop of unknown length or a branch would wait at each iteration for the host of an
    # accelerator and for the other devices.
    return jax.default_backend() == "cpu" and keras.distribution.distribution() is None


# Jitted separately so that eager calls do not recompile the loop.
@jax.jit
def by_counting(values: Any, count: Any) -> Any:
    """Returns `ranking.top_k_mask_by_rank` of float32 values on a CPU."""
    return ranking.top_k_mask_by_counting(_keys(values), count)


def by_order(values: Any, count: Any) -> Any:
    """Returns `ranking.top_k_mask_by_rank` of float32 values on accelerators or several devices."""
    keys = -_keys(values)
    index = jax.lax.broadcasted_iota("int32", keys.shape, 1)
    # Among equal keys, the lower index comes first. It sorts, because devices that share the batch
    # would gather all of it for a `top_k`.
    ordered = jax.lax.sort((keys, index), dimension=1, num_keys=1, is_stable=True)
    last = jnp.maximum(count, 1) - 1
    key, place = (jax.lax.dynamic_index_in_dim(part, last, axis=1) for part in ordered)
    in_time = (keys < key) | ((keys == key) & (index <= place))
    return in_time & (count > 0)


def _keys(values: Any) -> Any:
    return sort_keys(jax.lax.bitcast_convert_type(values, jnp.int32))
