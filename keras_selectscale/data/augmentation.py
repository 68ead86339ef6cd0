"""The random order and the random augmentation of training images."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from keras_selectscale.checks import as_integer, as_number
from keras_selectscale.object_checks import as_boolean

# Streams of random numbers; each is a function of (seed, epoch), (seed, step) or (seed, position).
ORDER, ROWS, COLUMNS, FLIPS, WINDOWS, LIGHTS = range(6)
# Eigenvalues and eigenvectors (as columns) of the covariance of the colours of ImageNet's training
# images: red, green and blue of pixels divided by 255.
EIGENVALUES = np.array([0.2175, 0.0188, 0.0045], np.float32)
EIGENVECTORS = np.array(
    [
        [-0.5675, 0.7192, 0.4009],
        [-0.5808, -0.0045, -0.8140],
        [-0.5836, -0.6948, 0.4203],
    ],
    np.float32,
)

LARGEST_PADDING = 2**16


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """Padding, random cropping and mirroring of images in memory, before normalization.

    An image gets a border of pixels of value 0 (black, as in the papers' pipelines, not the mean).
    A window of the image's size is cropped at a random place, and mirrored left to right with
    probability 1/2.

    Args:
        padding: Width of the border on each side in pixels, at least 0. The window starts at one
            of `2 * padding + 1` rows and as many columns, all equally likely.
        flip: Whether to mirror. Mirror only if the class stays the same: a mirrored digit is a
            different sign.

    Raises:
        TypeError: If `padding` is not an integer or `flip` is not a bool.
        ValueError: If `padding` is negative or above 2**16.
    """

    padding: int
    flip: bool

    def __post_init__(self):
        object.__setattr__(self, "padding", as_integer("padding", self.padding, 0, LARGEST_PADDING))
        as_boolean("flip", self.flip)


@dataclasses.dataclass(frozen=True)
class InceptionAugmentation:
    """Random windows, mirroring and shifts of colour for images of any size.

    A window whose area is a share of the image's area and whose shape varies is cropped and resized
    to the network's input. It is mirrored left to right with probability 1/2. The colours are
    shifted along the directions in which those of ImageNet vary, as a change of light does:

        pixel / 255 + V (a * l),    a ~ Normal(0, lighting), one for each of the 3 directions

    with the eigenvectors V and the eigenvalues l of the covariance of ImageNet's colours.

    Args:
        smallest_area: Lower bound of the window's share of the image's area, which is uniform up to
            1; above 0 and at most 1.
        widest_aspect: Bound of the aspect ratio, at least 1: the logarithm of width / height is
            uniform between those of `1 / widest_aspect` and `widest_aspect`. Ten windows are drawn,
            and the first that fits into the image is used. If none fits, the largest window of an
            allowed shape in the centre is used.
        flip: Whether to mirror.
        lighting: Standard deviation of the shift, at least 0; 0 shifts nothing. Grey images are
            never shifted.

    Raises:
        TypeError: If a value is of the wrong type.
        ValueError: If a value is out of range.

    Reference:
        Szegedy et al., "Going Deeper with Convolutions", CVPR 2015, Section 6 (the window).
        Krizhevsky et al., "ImageNet Classification with Deep Convolutional Neural Networks", NIPS
        2012, Section 4.1 (the colours), which Russakovsky et al., IJCV 2015, call common practice.
    """

    smallest_area: float = 0.08
    widest_aspect: float = 4 / 3
    flip: bool = True
    lighting: float = 0.1

    def __post_init__(self):
        as_boolean("flip", self.flip)
        for name, low, high, above in (
            ("smallest_area", 0.0, 1.0, True),
            ("widest_aspect", 1.0, math.inf, False),
            ("lighting", 0.0, math.inf, False),
        ):
            value = as_number(name, getattr(self, name), low, high, above=above)
            object.__setattr__(self, name, value)


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
    """Returns the numbers from 0 to `count - 1`, shuffled by the seed and the epoch, as int64."""
    import tensorflow as tf

    return tf.random.experimental.stateless_shuffle(
        tf.range(count, dtype=tf.int64), random_stream(seed, epoch, ORDER), alg="philox"
    )


def augment(images: Any, augmentation: Augmentation, seed: int, step: Any) -> Any:
    """Pads, crops and mirrors a batch; the seed and the step decide how.

    Args:
        images: Of shape `(batch, height, width, channels)`, any dtype.
        augmentation: What to do.
        seed: At least 0.
        step: Number of the batch in the run, an int or an int64 scalar tensor.

    Returns:
        Images of the same shape and dtype.
    """
    import tensorflow as tf

    padding = augmentation.padding
    batch, height, width = tf.shape(images)[0], images.shape[1], images.shape[2]

    def drawn(below, stream):
        return tf.random.stateless_uniform(
            (batch, 1), random_stream(seed, step, stream), 0, below, tf.int32, alg="philox"
        )

    rows = tf.tile(tf.range(height)[None], (batch, 1))
    columns = tf.tile(tf.range(width)[None], (batch, 1))
    if augmentation.flip:
        columns = tf.where(drawn(2, FLIPS) == 1, columns[:, ::-1], columns)
    if padding:
        rows += drawn(2 * padding + 1, ROWS)
        columns += drawn(2 * padding + 1, COLUMNS)
        border = (padding, padding)
        images = tf.pad(images, ((0, 0), border, border, (0, 0)))
    images = tf.gather(images, rows, axis=1, batch_dims=1)
    return tf.gather(images, columns, axis=2, batch_dims=1)
