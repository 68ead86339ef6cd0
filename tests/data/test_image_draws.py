"""The random numbers of many images are those that TensorFlow draws for each of them."""

import numpy as np
import pytest
import tensorflow as tf

from keras_selectscale.data import InceptionAugmentation
from keras_selectscale.data.augmentation import (
    EIGENVALUES,
    EIGENVECTORS,
    FLIPS,
    LIGHTS,
    WINDOWS,
    random_stream,
)
from keras_selectscale.data.image_draws import TRIES, VECTORIZED, draw, random_windows, shifts

POSITIONS = [*range(60), 2**31, 2**32 + 7, 2**40 + 1, 2**62]


@tf.function(reduce_retracing=True)
def window_of_one(height, width, areas, aspects, places, augmentation):
    """Computes a window with TensorFlow's operations on the numbers of one image."""
    rows, columns = tf.cast(height, tf.float32), tf.cast(width, tf.float32)
    areas = rows * columns * areas
    heights = tf.cast(tf.round(tf.sqrt(areas / aspects)), tf.int32)
    widths = tf.cast(tf.round(tf.sqrt(areas * aspects)), tf.int32)
    fits = (heights >= 1) & (widths >= 1) & (heights <= height) & (widths <= width)
    first, found = tf.argmax(tf.cast(fits, tf.int32)), tf.reduce_any(fits)
    tall = tf.cast(tf.round(columns * augmentation.widest_aspect), tf.int32)
    wide = tf.cast(tf.round(rows * augmentation.widest_aspect), tf.int32)
    sides = tf.stack(
        [
            tf.where(found, heights[first], tf.minimum(height, tall)),
            tf.where(found, widths[first], tf.minimum(width, wide)),
        ]
    )
    free = tf.stack([height, width]) - sides
    drawn = tf.cast(places * tf.cast(free + 1, tf.float32), tf.int32)
    return tf.concat([tf.where(found, tf.minimum(drawn, free), free // 2), sides], 0)


@pytest.mark.parametrize("seed", [0, 7, 2**62])
def test_draws_are_those_of_one_image_to_the_bit(seed):
    augmentation = InceptionAugmentation(smallest_area=0.3, widest_aspect=2.0, lighting=0.3)
    # So wide that some images have no window among the first, and some none at all.
    heights = tf.constant([40, 9, 1, 21] * (len(POSITIONS) // 4))
    widths = tf.constant([40, 60, 30, 70] * (len(POSITIONS) // 4))
    draws = draw(augmentation, seed, tf.constant(POSITIONS, tf.int64))
    windows = random_windows(draws, heights, widths, augmentation).numpy()
    lights = shifts(draws, augmentation).numpy()
    late = 0
    for number, position in enumerate(POSITIONS):
        streams = {name: random_stream(seed, position, name) for name in (WINDOWS, FLIPS, LIGHTS)}
        drawn = tf.random.stateless_uniform((2 * TRIES + 2,), streams[WINDOWS], alg="philox")
        areas = 0.3 + (1 - 0.3) * drawn[:TRIES]
        aspects = tf.exp(np.log(2.0) * (2 * drawn[TRIES : 2 * TRIES] - 1))
        np.testing.assert_array_equal(draws.areas[number], areas)
        np.testing.assert_array_equal(draws.aspects[number], aspects[:VECTORIZED])
        sides = heights[number], widths[number]
        window = window_of_one(*sides, areas, aspects, drawn[2 * TRIES :], augmentation)
        np.testing.assert_array_equal(windows[number], window)
        first = window_of_one(
            *sides, areas[:VECTORIZED], aspects[:VECTORIZED], drawn[2 * TRIES :], augmentation
        )
        late += not np.array_equal(first, window)
        flip = tf.random.stateless_uniform((), streams[FLIPS], 0, 2, tf.int32, alg="philox")
        assert bool(draws.flips[number]) == bool(flip)
        strengths = tf.random.stateless_normal((3,), streams[LIGHTS], alg="philox")
        light = tf.linalg.matvec(EIGENVECTORS, augmentation.lighting * EIGENVALUES * strengths)
        np.testing.assert_array_equal(lights[number], light)
    print(f"{late} windows of {len(POSITIONS)} are not among the first {VECTORIZED}")
