"""The random numbers of many streamed images at once, and the windows that follow from them.

A random operation of TensorFlow takes one seed. If every image has its own seed, these operations
take longer than decoding a small image. Therefore the generator is written here for a vector of
seeds. It returns the same numbers, so that the batches of a run depend on neither.

Reference:
    Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011 (Philox 4x32, 10 rounds).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from keras_selectscale.data.augmentation import (
    EIGENVALUES,
    EIGENVECTORS,
    FLIPS,
    LIGHTS,
    WINDOWS,
    InceptionAugmentation,
)

# Windows drawn per image.
TRIES = 10
# TensorFlow computes the exponentials of so many windows of an image at a time, and those of the
# others one by one, with another rounding.
VECTORIZED = 8
# Share of the shorter side that evaluation sees.
CENTRE = 224 / 256
# TensorFlow's number of the generator.
PHILOX = 1
ROUNDS = 10
MULTIPLIERS = 0xD2511F53, 0xCD9E8D57
INCREMENTS = 0x9E3779B9, 0xBB67AE85
LOW = 0xFFFFFFFF
# The key with which TensorFlow turns a seed into a key and a counter.
SCRAMBLING_KEY = 0x02461E293EC8F720


class Draws(NamedTuple):
    """What is drawn for some images, whatever their size; see `InceptionAugmentation`.

    Attributes:
        areas: Windows' shares of the image's area, float32 of shape `(images, TRIES)`.
        logarithms: Logarithms of their aspect ratios, likewise.
        aspects: Aspect ratios of the first `VECTORIZED` of them.
        places: Where the window stands in the image, vertically and horizontally, float32 from 0
            to 1 of shape `(images, 2)`.
        flips: Whether to mirror the image, bool of shape `(images,)`.
        light_keys: Keys with which the light is drawn, uint64 of shape `(images, 1)`.
        light_counters: Their counters, uint64 of shape `(images, 2)`.
    """

    areas: Any
    logarithms: Any
    aspects: Any
    places: Any
    flips: Any
    light_keys: Any
    light_counters: Any


def draw(augmentation: InceptionAugmentation, seed: int, positions: Any) -> Draws:
    """Draws the random numbers of some images.

    Args:
        augmentation: Bounds of the draw.
        seed: At least 0.
        positions: Numbers of the images in the run, int64 of shape `(images,)`. They and the seed
            decide.
    """
    import tensorflow as tf

    windows, flips, lights = streams(seed, positions, WINDOWS, FLIPS, LIGHTS)
    drawn = windows.uniform(2 * TRIES + 2)
    smallest, widest = augmentation.smallest_area, math.log(augmentation.widest_aspect)
    logarithms = widest * (2 * drawn[:, TRIES : 2 * TRIES] - 1)
    return Draws(
        smallest + (1 - smallest) * drawn[:, :TRIES],
        logarithms,
        tf.exp(logarithms[:, :VECTORIZED]),
        drawn[:, 2 * TRIES :],
        tf.bitwise.bitwise_and(flips.words(1)[:, 0], 1) == 1,
        lights.key[:, None],
        tf.stack([tf.zeros_like(lights.counter), lights.counter], 1),
    )


def random_windows(
    draws: Draws, heights: Any, widths: Any, augmentation: InceptionAugmentation
) -> Any:
    """Returns the windows of training images; see `InceptionAugmentation`.

    Args:
        draws: What was drawn for them.
        heights: Heights of the images, int32 of shape `(images,)`.
        widths: Widths of the images, likewise.
        augmentation: Bounds of the draw.

    Returns:
        Top, left, height and width, int32 of shape `(images, 4)`, within the images.
    """
    import tensorflow as tf

    heights, widths = heights[:, None], widths[:, None]
    rows, columns = tf.cast(heights, tf.float32), tf.cast(widths, tf.float32)

    def first_that_fits(count, aspects):
        areas = rows * columns * draws.areas[:, :count]
        high = tf.cast(tf.round(tf.sqrt(areas / aspects)), tf.int32)
        wide = tf.cast(tf.round(tf.sqrt(areas * aspects)), tf.int32)
        fits = (high >= 1) & (wide >= 1) & (high <= heights) & (wide <= widths)
        first = tf.argmax(tf.cast(fits, tf.int32), 1)[:, None]
        sides = (tf.gather(each, first, axis=1, batch_dims=1) for each in (high, wide))
        return (tf.reduce_any(fits, 1, keepdims=True), *sides)

    some = first_that_fits(VECTORIZED, draws.aspects)
    found, high, wide = tf.cond(
        tf.reduce_all(some[0]),
        lambda: some,
        # One image at a time, so that all are rounded as `VECTORIZED` says.
        lambda: first_that_fits(TRIES, tf.map_fn(tf.exp, draws.logarithms)),
    )
    highest = tf.cast(tf.round(columns * augmentation.widest_aspect), tf.int32)
    widest = tf.cast(tf.round(rows * augmentation.widest_aspect), tf.int32)
    high = tf.where(found, high, tf.minimum(heights, highest))
    wide = tf.where(found, wide, tf.minimum(widths, widest))
    free = tf.concat([heights - high, widths - wide], 1)
    places = tf.cast(draws.places * tf.cast(free + 1, tf.float32), tf.int32)
    starts = tf.where(found, tf.minimum(places, free), free // 2)
    return tf.concat([starts, high, wide], 1)


def centre_windows(heights: Any, widths: Any) -> Any:
    """Returns the squares in the centre that evaluation sees, 7/8 of the shorter side.

    Cropping it and resizing it to `size` equals resizing the shorter side to `size * 256 / 224` and
    cropping `size` in the centre, without computing pixels that are then thrown away.

    Args:
        heights: Heights of the images, int32 of shape `(images,)`.
        widths: Widths of the images, likewise.

    Returns:
        Top, left, height and width, int32 of shape `(images, 4)`.
    """
    import tensorflow as tf

    shorter = tf.cast(tf.minimum(heights, widths), tf.float32)
    sides = tf.maximum(tf.cast(tf.round(shorter * CENTRE), tf.int32), 1)
    return tf.stack([(heights - sides) // 2, (widths - sides) // 2, sides, sides], 1)


def shifts(draws: Draws, augmentation: InceptionAugmentation) -> Any:
    """Returns the shifts of colour of some images; see `InceptionAugmentation`.

    Args:
        draws: What was drawn for them; their number is static.
        augmentation: Standard deviation of the draw.

    Returns:
        float32 of shape `(images, 3)`, to be added to pixels divided by 255; the sum may leave 0
        to 1.
    """
    import tensorflow as tf

    strengths = tf.stack(
        [
            tf.raw_ops.StatelessRandomNormalV2(shape=(3,), key=key, counter=counter, alg=PHILOX)
            for key, counter in zip(
                tf.unstack(draws.light_keys), tf.unstack(draws.light_counters), strict=True
            )
        ]
    )
    scaled = augmentation.lighting * EIGENVALUES * strengths
    # A product of matrices would add in another order if there are many images.
    red, green, blue = (scaled[:, each, None] * EIGENVECTORS[:, each] for each in range(3))
    return red + green + blue


class Stream(NamedTuple):
    """The generators of a vector of seeds, as TensorFlow's raw operations take them one by one.

    Attributes:
        key: uint64 of shape `(seeds,)`.
        counter: uint64 of shape `(seeds,)`, the upper half of the counter. The lower half is 0.
        philox: The generator.
    """

    key: Any
    counter: Any
    philox: Callable[[Any, Any, Any], Any]

    def words(self, count: int) -> Any:
        """Returns the first numbers of each generator, below 2**32, uint64 of `(seeds, count)`."""
        import tensorflow as tf

        blocks = -(-count // 4)
        low = tf.tile(tf.cast(tf.range(blocks), tf.uint64), tf.shape(self.key))
        key, high = (tf.repeat(each, blocks) for each in (self.key, self.counter))
        return tf.reshape(self.philox(key, low, high), (-1, 4 * blocks))[:, :count]

    def uniform(self, count: int) -> Any:
        """Returns what `tf.random.stateless_uniform` draws, float32 of shape `(seeds, count)`."""
        import tensorflow as tf

        # 23 bits are the mantissa of a number from 1 to 2.
        mantissa = tf.bitwise.bitwise_and(tf.cast(self.words(count), tf.uint32), 0x7FFFFF)
        return tf.bitcast(tf.bitwise.bitwise_or(mantissa, 0x3F800000), tf.float32) - 1.0


def streams(seed: int, positions: Any, *names: int) -> list[Stream]:
    """Returns the generators of `augmentation.random_stream` for a vector of positions.

    Args:
        seed: At least 0.
        positions: int64 of shape `(images,)`.
        *names: The streams.
    """
    import tensorflow as tf

    vector = tf.TensorSpec((None,), tf.uint64)
    # A function, because its hundred operations would otherwise be added for each use.
    philox = tf.function(_philox, input_signature=[vector] * 3, autograph=False)

    def scrambled(first, second):
        words = philox(tf.fill(tf.shape(first), _constant(SCRAMBLING_KEY)), first, second)
        pairs = tf.bitwise.left_shift(words[:, 1::2], _constant(32)) + words[:, ::2]
        return Stream(pairs[:, 0], pairs[:, 1], philox)

    positions = tf.cast(positions, tf.uint64)
    folded = scrambled(tf.fill(tf.shape(positions), _constant(seed)), positions)
    # TensorFlow draws the seed of a stream as an int32.
    seeds = tf.cast(tf.bitcast(tf.cast(folded.words(1)[:, 0], tf.uint32), tf.int32), tf.uint64)
    return [scrambled(seeds, tf.fill(tf.shape(seeds), _constant(name))) for name in names]


def _constant(value: int) -> Any:
    import tensorflow as tf

    return tf.constant(value, tf.uint64)


def _philox(key: Any, low: Any, high: Any) -> Any:
    """Returns the four numbers of each counter under its key, uint64 below 2**32."""
    import tensorflow as tf

    both, shifted, xor = tf.bitwise.bitwise_and, tf.bitwise.right_shift, tf.bitwise.bitwise_xor
    mask, half = _constant(LOW), _constant(32)

    def halves(value):
        return both(value, mask), shifted(value, half)

    (first, second), (third, fourth), keys = halves(low), halves(high), halves(key)
    for step in range(ROUNDS):
        if step:
            keys = tuple(
                both(each + _constant(increment), mask)
                for each, increment in zip(keys, INCREMENTS, strict=True)
            )
        low_0, high_0 = halves(first * _constant(MULTIPLIERS[0]))
        low_1, high_1 = halves(third * _constant(MULTIPLIERS[1]))
        first, second = xor(xor(high_1, second), keys[0]), low_1
        third, fourth = xor(xor(high_0, fourth), keys[1]), low_0
    return tf.stack([first, second, third, fourth], 1)
