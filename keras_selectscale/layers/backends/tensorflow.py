"""Functions that are faster in TensorFlow than in `keras.ops`.

Nothing here is compiled separately or kept between calls. All operations belong to the caller's
graph, and a new batch size costs nothing.
"""

import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_selectscale.layers import feature_maps
from keras_selectscale.layers.backends import ranking
from keras_selectscale.layers.backends.ranking import (
    HIGHEST_NEGATIVE,
    INFINITY,
    MAGNITUDE,
    SMALLEST_NORMAL,
    sort_keys,
)

try:  # No public function tells whether XLA will compile the current trace.
    from tensorflow.python.ops.control_flow_util import GraphOrParentsInXlaContext as in_xla_context
except ImportError:
    in_xla_context = None

# From this number of channels on, TensorFlow reduces two axes faster one after the other.
MANY_CHANNELS = 512
# Channels up to which a product with one factor per map gains from whole rows.
NARROW = 16


def fold_in_replica(seed: Any) -> Any:
    """Returns `seed`, changed by the number of the current `tf.distribute` replica."""
    replica = tf.distribute.get_replica_context()
    if replica is None or replica.num_replicas_in_sync == 1:
        return seed
    return tf.random.fold_in(seed, replica.replica_id_in_sync_group)


def uniform(shape: Any, minval: float, maxval: float, seed: keras.random.SeedGenerator) -> Any:
    """Draws float32 numbers from [minval, maxval).

    The generator is TensorFlow's default in a graph on a CPU or GPU. Under XLA, the default is
    another one that is tens of times slower, so the generator is named there and returns the same
    numbers. It is not named elsewhere, because that would add some forty operations.
    """
    alg = "philox" if in_xla() else "auto_select"
    # Keras' own conversion from its int64 state to the int32 that XLA requires.
    state = tf.cast(tf.math.floormod(seed.next(), tf.int32.max - 1), "int32")
    return tf.random.stateless_uniform(
        shape, seed=state, minval=minval, maxval=maxval, dtype="float32", alg=alg
    )


def around_one(noise: Any, width: Any, furthest: Any, spacing: float) -> Any:
    """Returns `factors.around_one`."""
    steps = tf.round(noise * width)
    if not isinstance(width, float) or np.round(np.float32(width)) > furthest:
        steps = tf.raw_ops.ClipByValue(t=steps, clip_value_min=-furthest, clip_value_max=furthest)
    return steps * spacing + 1.0


def top_k_mask(values: Any, count: Any) -> Any:
    """Returns `ranking.top_k_mask_by_rank` of float32 values."""
    if not _on_cpus():
        return ranking.top_k_mask_by_rank(values, count)
    bits = tf.bitcast(values, tf.int32)
    if in_xla():
        return ranking.top_k_mask_by_counting(sort_keys(bits), count)
    keys = _magnitude(bits) - (SMALLEST_NORMAL - 1)
    return _mark(tf.where(bits <= HIGHEST_NEGATIVE, -keys, keys), count)


def max_score_mask(inputs: Any, channel_axis: int, count: int) -> Any:
    """Returns the mask of the `count` maps of each sample with the highest `max_score`."""
    values = tf.cast(_max_score(inputs, channel_axis), tf.float32)
    if in_xla() or not _on_cpus():
        return top_k_mask(values, count)
    return _mark(_magnitude(tf.bitcast(values, tf.int32)), count)


def computed_once(factor: Any) -> Any:
    """Returns the factor through a branch, which keeps XLA from fusing it into loops.

    See `computed_once` of `backends.jax`.
    """
    if not in_xla() or not _on_cpus():
        return factor
    # The compiler cannot know that no value is NaN.
    is_number = tf.reduce_all(tf.reshape(factor, [-1])[:1] >= factor.dtype.min)
    return tf.cond(is_number, lambda: factor, lambda: tf.abs(factor))


def apply_factor(factor: Any, inputs: Any, may_drop: bool) -> Any:
    """Returns `factors.apply`, in one operation if TensorFlow has it for the dtype."""
    if not may_drop:
        return inputs * _along_rows(factor, inputs)
    if inputs.dtype == tf.bfloat16 and not _on_cpus():
        return factor * tf.where(tf.equal(factor, 0), tf.zeros_like(factor), inputs)
    return tf.math.multiply_no_nan(inputs, _along_rows(factor, inputs))


def _along_rows(factor: Any, inputs: Any) -> Any:
    """Returns a factor per map, repeated along the rows of narrow maps on a CPU.

    There a product with few numbers side by side takes a quarter longer than one with whole rows:
    1.9 ms for (128, 32, 32, 16) in bfloat16, and 1.5 with the rows.
    """
    if inputs.shape.rank != 4 or factor.shape.rank != 4 or inputs.shape[2] is None:
        return factor
    *_, height, width, channels = factor.shape
    is_narrow = (height, width) == (1, 1) and channels is not None and 1 < channels <= NARROW
    if not is_narrow or in_xla() or not _on_cpus():
        return factor
    return tf.tile(factor, (1, 1, inputs.shape[2], 1))


def in_xla() -> bool:
    """Returns whether XLA compiles the current trace."""
    if tf.executing_eagerly():
        return False
    if in_xla_context is None:  # The version for XLA is slow in a plain graph, but correct.
        return True
    return in_xla_context(tf.compat.v1.get_default_graph())


def _on_cpus() -> bool:
    # A loop of unknown length or a branch would wait at each iteration for an accelerator's host,
    # and accelerators have no `NthElement`.
    return tf.config.list_logical_devices("CPU") == tf.config.list_logical_devices()


def _magnitude(bits: Any) -> Any:
    """Returns keys in the order of `ranking.magnitude_keys`."""
    return tf.raw_ops.ClipByValue(
        t=tf.bitwise.bitwise_and(bits, MAGNITUDE),
        clip_value_min=SMALLEST_NORMAL - 1,
        clip_value_max=INFINITY,
    )


def _mark(keys: Any, count: Any) -> Any:
    """Returns the mask of the `count` highest int32 keys of each row, the first among equals."""
    channels = keys.shape[1]
    if channels is None:
        channels = tf.shape(keys)[1]
        index = tf.range(channels - 1, -1, -1, dtype=tf.int64)
        step = tf.cast(channels, tf.int64)
    elif isinstance(count, int) and not 0 < count < channels:
        return tf.fill(tf.shape(keys), count > 0)
    else:
        index, step = np.arange(channels - 1, -1, -1), channels
    # The index makes all keys different.
    keys_apart = tf.cast(keys, tf.int64) * step + index
    last = count - 1
    if not isinstance(count, int):
        last = tf.clip_by_value(last, 0, channels - 1)
    lowest = tf.raw_ops.NthElement(input=keys_apart, n=last, reverse=True)
    mask = keys_apart >= tf.expand_dims(lowest, 1)
    return mask if isinstance(count, int) else tf.logical_and(mask, count > 0)


def _max_score(inputs: Any, channel_axis: int) -> Any:
    """Returns numbers whose magnitude is the `max_score` of each map."""
    rank = len(inputs.shape)
    axes = feature_maps.spatial_axes(channel_axis, rank)
    sizes = [inputs.shape[axis] for axis in axes]
    channels = inputs.shape[channel_axis]
    if all(size == 1 for size in sizes):
        return tf.reshape(inputs, (-1, channels))
    never_negative = _is_never_negative(inputs)
    if inputs.dtype == tf.bfloat16 and channel_axis == rank - 1 and None not in sizes:
        # Uses a pooling, which has its own kernel for this precision and is at least twice as fast.
        maps = inputs if never_negative else tf.abs(inputs)
        maps = tf.reshape(maps, (-1, math.prod(sizes), 1, channels))
        pooled = tf.nn.max_pool2d(maps, (math.prod(sizes), 1), 1, "VALID")
        return tf.reshape(pooled, (-1, channels))
    if never_negative:
        return _reduced(tf.reduce_max, inputs, axes)
    if inputs.dtype == tf.float16:  # Two reductions are slower than a magnitude and one reduction.
        return tf.reduce_max(tf.abs(inputs), axes)
    highest = _reduced(tf.reduce_max, inputs, axes)
    return tf.maximum(highest, -_reduced(tf.reduce_min, inputs, axes))


def _reduced(reduce: Any, inputs: Any, axes: tuple[int, ...]) -> Any:
    if axes[-1] == len(inputs.shape) - 1 or inputs.shape[-1] < MANY_CHANNELS:
        return reduce(inputs, axes)
    for _ in axes:
        inputs = reduce(inputs, 1)
    return inputs


def _is_never_negative(inputs: Any) -> bool:
    """Returns whether the graph shows that no value is below 0."""
    if tf.executing_eagerly():
        return False
    operation = inputs.op
    while operation.type in ("Identity", "StopGradient"):
        operation = operation.inputs[0].op
    return operation.type in ("Relu", "Relu6")
