"""What the batches of images in memory and of streamed ones have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keras_selectscale.data.any_images import AnyImages

# What is drawn from (seed, epoch), (seed, step) or (seed, position): one stream of numbers each.
ORDER, ROWS, COLUMNS, FLIPS, WINDOWS, LIGHTS = range(6)


def random_stream(seed: int, number: Any, stream: int) -> Any:
    """Returns the seed of one of the streams of an epoch, a step or a position.

    Args:
        seed: At least 0.
        number: Int or integer scalar tensor.
        stream: One of the constants above.
    """
    import tensorflow as tf

    pair = tf.stack([tf.constant(seed, tf.int64), tf.cast(number, tf.int64)])
    return tf.random.experimental.stateless_fold_in(pair, stream, alg="philox")


def epoch_order(count: int, seed: int, epoch: Any) -> Any:
    """Returns the numbers from 0 to `count - 1` shuffled by the seed and the epoch, int64."""
    import tensorflow as tf

    return tf.random.experimental.stateless_shuffle(
        tf.range(count, dtype=tf.int64), random_stream(seed, epoch, ORDER), alg="philox"
    )


def normalise(images: Any, data: AnyImages) -> Any:
    """Returns `(pixel / 255 - mean) / std` in float32, channel by channel."""
    import tensorflow as tf

    return (tf.cast(images, tf.float32) / 255.0 - data.mean) / data.std


def host_tensors(*arrays: Any) -> list[Any]:
    """Returns arrays as tensors in the host's memory, where tf.data works.

    A function that is mapped captures them: they are no part of its graph, which may not be larger
    than 2 GB.
    """
    import tensorflow as tf

    with tf.device("CPU:0"):
        return [tf.constant(array) for array in arrays]


def options() -> Any:
    """Returns options without the rewriting of the graph, which would copy what it captures.

    What it rewrites is written out in the pipelines: maps are parallel, a prefetch is there.
    """
    import tensorflow as tf

    chosen = tf.data.Options()
    chosen.experimental_optimization.apply_default_optimizations = False
    return chosen
