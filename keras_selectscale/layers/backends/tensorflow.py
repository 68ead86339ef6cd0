"""What TensorFlow does faster than `keras.ops`."""

import math
from typing import Any

import keras
import tensorflow as tf

from keras_selectscale.layers import bisection, layout, ranking, scores
from keras_selectscale.layers.sort_keys import sort_keys


def uniform(shape: Any, minval: float, maxval: float, seed: keras.random.SeedGenerator) -> Any:
    """Draws float32 numbers from [minval, maxval).

    The generator is the one that TensorFlow takes by itself in a graph on a CPU or GPU. Under XLA
    it would take another, tens of times slower; named, it gives the same numbers there.
    """
    # Keras' own way from its int64 state to the int32 that XLA wants.
    state = tf.cast(tf.math.floormod(seed.next(), tf.int32.max - 1), "int32")
    return tf.random.stateless_uniform(
        shape, seed=state, minval=minval, maxval=maxval, dtype="float32", alg="philox"
    )


def top_k_mask(values: Any, count: Any) -> Any:
    """Returns `ranking.top_k_mask` of float32 values."""
    if tf.executing_eagerly():  # What is called once is not worth compiling.
        return ranking.top_k_mask(values, count)
    mask = _mask_of_scores(values, tf.cast(count, "int32"))
    return tf.ensure_shape(mask, values.shape)


def max_score_mask(inputs: Any, channel_axis: int, count: int) -> Any:
    """Returns the mask of the `count` maps of each sample with the highest `max_score`."""
    axes = layout.spatial_axes(channel_axis, len(inputs.shape))
    if tf.executing_eagerly() or None in (inputs.shape[axis] for axis in axes):
        # Each size of image would be compiled anew; of scores, each size of batch alone is.
        values = scores.at_least_float32(scores.max_score(inputs, channel_axis))
        return top_k_mask(values, count)
    batch, channels = tf.shape(inputs)[0], inputs.shape[channel_axis]
    positions = math.prod(inputs.shape[axis] for axis in axes)
    if channel_axis == 1:
        maps, select = tf.reshape(inputs, (batch, channels, positions)), _mask_of_rows
    else:
        maps, select = tf.reshape(inputs, (batch, positions, channels)), _mask_of_columns
    mask = select(maps, tf.constant(count))
    return tf.ensure_shape(mask, (inputs.shape[0], channels))


def computed_once(factor: Any) -> Any:
    """Returns the factor by way of a branch, out of which no loop takes it.

    See `computed_once` of `backends.jax`. Whether XLA compiles the graph around is not known here;
    if it does not, the branch takes microseconds.
    """
    if tf.executing_eagerly() or not _on_cpus():
        return factor
    # The compiler cannot know that there is no NaN.
    is_number = tf.reduce_all(tf.reshape(factor, [-1])[:1] >= -math.inf)
    return tf.cond(is_number, lambda: factor, lambda: tf.abs(factor))


def apply_factor(factor: Any, inputs: Any) -> Any:
    """Returns `factors.apply`, in one operation where TensorFlow has it for the dtype."""
    if inputs.dtype == tf.bfloat16 and not _on_cpus():
        return factor * tf.where(tf.equal(factor, 0), tf.zeros_like(factor), inputs)
    return tf.math.multiply_no_nan(inputs, factor)


def _on_cpus() -> bool:
    # A loop with an open end, or a branch, would wait at each turn for an accelerator's host.
    return tf.config.list_logical_devices("CPU") == tf.config.list_logical_devices()


# Each is compiled by itself also where the training step is a plain graph: TensorFlow's own maximum
# takes twice as long as XLA's, and it has nothing to select with that comes near the bisection.
@tf.function(jit_compile=True, reduce_retracing=True, autograph=False)
def _mask_of_scores(values: Any, count: Any) -> Any:
    if _on_cpus():
        return bisection.top_k_mask(sort_keys(tf.bitcast(values, tf.int32)), count)
    return ranking.top_k_mask(values, count)


@tf.function(jit_compile=True, reduce_retracing=True, autograph=False)
def _mask_of_rows(maps: Any, count: Any) -> Any:
    return _mask_of_scores(_largest_magnitude(maps, 2), count)


@tf.function(jit_compile=True, reduce_retracing=True, autograph=False)
def _mask_of_columns(maps: Any, count: Any) -> Any:
    return _mask_of_scores(_largest_magnitude(maps, 1), count)


def _largest_magnitude(maps: Any, axis: int) -> Any:
    if maps.dtype == tf.float32:
        # Two reductions that XLA knows are faster than one of a magnitude.
        return tf.maximum(tf.reduce_max(maps, axis), -tf.reduce_min(maps, axis))
    return tf.reduce_max(tf.abs(tf.cast(maps, "float32")), axis)
