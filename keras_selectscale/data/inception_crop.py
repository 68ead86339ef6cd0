"""The windows that training and evaluation see of an image of any size, and its light."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from keras_selectscale.data.inception_augmentation import InceptionAugmentation
from keras_selectscale.data.pipeline import FLIPS, LIGHTS, WINDOWS, random_stream

TRIES = 10
# The share of the shorter side that evaluation sees.
CENTRE = 224 / 256
# Of the covariance of the colours (red, green, blue; pixels divided by 255) of ImageNet's training
# images; an eigenvector a column.
EIGENVALUES = np.array([0.2175, 0.0188, 0.0045], np.float32)
EIGENVECTORS = np.array(
    [
        [-0.5675, 0.7192, 0.4009],
        [-0.5808, -0.0045, -0.8140],
        [-0.5836, -0.6948, 0.4203],
    ],
    np.float32,
)


def random_window(
    height: Any, width: Any, augmentation: InceptionAugmentation, seed: int, position: Any
) -> Any:
    """Draws the window of a training image, see `InceptionAugmentation`.

    Args:
        height: Of the image, int32 scalar.
        width: Of the image, int32 scalar.
        augmentation: What is drawn from.
        seed: At least 0.
        position: Number of the image in the run, int64 scalar. It and the seed decide.

    Returns:
        Top, left, height and width, int32 of shape `(4,)`, within the image.
    """
    import tensorflow as tf

    # All of them at once: most of what small draws cost is the number of them.
    drawn = tf.random.stateless_uniform(
        (2 * TRIES + 2,), random_stream(seed, position, WINDOWS), alg="philox"
    )
    smallest, widest = augmentation.smallest_area, math.log(augmentation.widest_aspect)
    rows, columns = tf.cast(height, tf.float32), tf.cast(width, tf.float32)
    areas = rows * columns * (smallest + (1 - smallest) * drawn[:TRIES])
    aspects = tf.exp(widest * (2 * drawn[TRIES : 2 * TRIES] - 1))
    heights = tf.cast(tf.round(tf.sqrt(areas / aspects)), tf.int32)
    widths = tf.cast(tf.round(tf.sqrt(areas * aspects)), tf.int32)
    fits = (heights >= 1) & (widths >= 1) & (heights <= height) & (widths <= width)
    first = tf.argmax(tf.cast(fits, tf.int32))

    tall = tf.cast(tf.round(columns * augmentation.widest_aspect), tf.int32)
    wide = tf.cast(tf.round(rows * augmentation.widest_aspect), tf.int32)
    found = tf.reduce_any(fits)
    window_height = tf.where(found, heights[first], tf.minimum(height, tall))
    window_width = tf.where(found, widths[first], tf.minimum(width, wide))

    def start(share, free):
        place = tf.cast(share * tf.cast(free + 1, tf.float32), tf.int32)
        return tf.where(found, tf.minimum(place, free), free // 2)

    top = start(drawn[-2], height - window_height)
    left = start(drawn[-1], width - window_width)
    return tf.stack([top, left, window_height, window_width])


def centre_window(height: Any, width: Any) -> Any:
    """Returns the square in the centre that evaluation sees, 7/8 of the shorter side.

    To cut it out and bring it to `size` is to bring the shorter side to `size * 256 / 224` and to
    cut out `size` in the centre, without the pixels that would be thrown away.

    Args:
        height: Of the image, int32 scalar.
        width: Of the image, int32 scalar.

    Returns:
        Top, left, height and width, int32 of shape `(4,)`.
    """
    import tensorflow as tf

    shorter = tf.cast(tf.minimum(height, width), tf.float32)
    side = tf.maximum(tf.cast(tf.round(shorter * CENTRE), tf.int32), 1)
    return tf.stack([(height - side) // 2, (width - side) // 2, side, side])


def mirrored(pixels: Any, augmentation: InceptionAugmentation, seed: int, position: Any) -> Any:
    """Mirrors an image in half of the cases, where `augmentation.flip` says so.

    Args:
        pixels: Of shape `(height, width, channels)`, any dtype.
        augmentation: What is done.
        seed: At least 0.
        position: As of `random_window`.

    Returns:
        The same shape and dtype.
    """
    import tensorflow as tf

    if not augmentation.flip:
        return pixels
    coin = tf.random.stateless_uniform(
        (), random_stream(seed, position, FLIPS), 0, 2, tf.int32, alg="philox"
    )
    return tf.cond(coin == 1, lambda: tf.reverse(pixels, [1]), lambda: pixels)


def light(augmentation: InceptionAugmentation, seed: int, position: Any) -> Any:
    """Draws what is added to red, green and blue of an image, see `InceptionAugmentation`.

    Args:
        augmentation: What is drawn from.
        seed: At least 0.
        position: As of `random_window`.

    Returns:
        float32 of shape `(3,)`, of pixels divided by 255; the sum may leave 0 to 1.
    """
    import tensorflow as tf

    strengths = tf.random.stateless_normal(
        (3,), random_stream(seed, position, LIGHTS), alg="philox"
    )
    return tf.linalg.matvec(EIGENVECTORS, augmentation.lighting * EIGENVALUES * strengths)
