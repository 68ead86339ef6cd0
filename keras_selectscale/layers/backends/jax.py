"""Functions that are faster in JAX than in `keras.ops`."""

from typing import Any

import jax
import jax.numpy as jnp
import keras

from keras_selectscale.layers import feature_maps
from keras_selectscale.layers.backends import ranking
from keras_selectscale.layers.backends.ranking import (
    INFINITY,
    MAGNITUDE,
    SMALLEST_NORMAL,
    sort_keys,
)

# The key of 0 and of denormals in a score.
LOWEST = SMALLEST_NORMAL - 1
# Channels up to which an accelerator compares all pairs of a row.
FEW_ON_ACCELERATORS = 512


def top_k_mask(values: Any, count: Any) -> Any:
    """Returns `ranking.top_k_mask_by_rank` of float32 values."""
    return highest(_keys(values), count)


def max_score_mask(inputs: Any, channel_axis: int, count: int) -> Any:
    """Returns the mask of the `count` maps of each sample with the highest `max_score`."""
    axes = feature_maps.spatial_axes(channel_axis, inputs.ndim)
    if not _on_one_cpu():
        return highest(_largest_keys(inputs, axes), count)
    if inputs.dtype == jnp.float32:
        # Two plain reductions are faster in XLA than one of a magnitude.
        values = jnp.maximum(jnp.max(inputs, axes), -jnp.min(inputs, axes))
    else:
        values = jnp.max(jnp.abs(inputs.astype("float32")), axes)
    return top_k_mask(values, count)


def highest(keys: Any, count: Any) -> Any:
    """Returns the mask of the `count` highest int32 keys of each row, the first among equals.

    | where | channels | method |
    | --- | --- | --- |
    | one CPU | up to 64, more | `ranking.top_k_mask_by_counting`: by pairs, by bits |
    | accelerators, several devices | up to 512 | `by_pairs` |
    | | more | `by_order` |

    In XLA's program for an H100, the selection and its factor take 4 kernels by pairs (score,
    counts, factor, seed) and 6 and a copy by order. Sorting a row of 64 keys is one kernel of 16
    threads with 22 barriers, and a row of 2,048 keys has 67. Pairs grow with the square: 128 rows
    of 512 keys are 34 million comparisons, a few microseconds, and 128 rows of 2,048 keys are 16
    times as many. A search by bits would take a kernel for each of its some 20 counts.
    """
    if _on_one_cpu():
        return by_counting(keys, count)
    if keys.shape[1] <= FEW_ON_ACCELERATORS:
        return by_pairs(keys, count)
    return by_order(keys, count)


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
def by_counting(keys: Any, count: Any) -> Any:
    """Returns `highest` for a CPU."""
    return ranking.top_k_mask_by_counting(keys, count)


@jax.jit
def by_pairs(keys: Any, count: Any) -> Any:
    """Returns `highest` for accelerators: fewer than `count` keys come before the highest ones."""
    other, one = keys[:, :, None], keys[:, None, :]
    index = jax.lax.broadcasted_iota("int32", (1, *other.shape[1:2], *one.shape[2:]), 1)
    is_earlier = index < jax.lax.broadcasted_iota("int32", index.shape, 2)
    is_before = (other > one) | ((other == one) & is_earlier)
    return jnp.sum(is_before, 1, "int32") < count


def by_order(keys: Any, count: Any) -> Any:
    """Returns `highest` for accelerators and several devices, from the sorted keys."""
    keys = -keys
    index = jax.lax.broadcasted_iota("int32", keys.shape, 1)
    # Among equal keys, the lower index comes first. It sorts, because devices that share the batch
    # would gather all of it for a `top_k`. No two entries are equal: a stable sort would move a
    # third array.
    ordered = jax.lax.sort((keys, index), dimension=1, num_keys=2, is_stable=False)
    last = jnp.maximum(count, 1) - 1
    key, place = (jax.lax.dynamic_index_in_dim(part, last, axis=1) for part in ordered)
    in_time = (keys < key) | ((keys == key) & (index <= place))
    return in_time & (count > 0)


def _largest_keys(inputs: Any, axes: tuple[int, ...]) -> Any:
    """Returns the int32 keys of `max_score`, the largest magnitude of each map.

    The lowest key makes denormals equal to 0, and NaN has the key of infinity.
    """
    if inputs.dtype.itemsize == 4:
        # On a CPU, XLA's maximum of floats does not always keep NaN.
        magnitudes = jnp.minimum(_bits(inputs) & MAGNITUDE, INFINITY)
        return jax.lax.reduce(magnitudes, jnp.int32(LOWEST), jax.lax.max, axes)
    # Keys of 4 bytes for maps of 2 would be written to memory before they are reduced.
    values = jnp.max(jnp.abs(inputs), axes).astype("float32")
    return jnp.clip(_bits(values) & MAGNITUDE, LOWEST, INFINITY)


def _keys(values: Any) -> Any:
    return sort_keys(_bits(values))


def _bits(values: Any) -> Any:
    return jax.lax.bitcast_convert_type(values, jnp.int32)
