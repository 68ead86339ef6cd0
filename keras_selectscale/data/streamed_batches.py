"""Batches of images that are read and decoded while they are used, in tf.data."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from keras_selectscale.data.decoding import decode_window
from keras_selectscale.data.encoded_images import EncodedImages
from keras_selectscale.data.image_errors import explain
from keras_selectscale.data.inception_crop import centre_window, light, mirrored, random_window
from keras_selectscale.data.pipeline import epoch_order, options
from keras_selectscale.data.streamed_images import StreamedImages

if TYPE_CHECKING:
    import tensorflow as tf


def training(data: StreamedImages, batch_size: int, seed: int, first_step: int) -> tf.data.Dataset:
    """Returns what `training_batches` promises; the arguments are validated there."""
    import tensorflow as tf

    count = data.train_count
    first_epoch, step = divmod(first_step, -(-count // batch_size))

    def pixels(encoded, position):
        window = decode_window(
            encoded,
            data.channels,
            lambda height, width: random_window(height, width, data.augmentation, seed, position),
        )
        lit = data.augmentation.lighting and data.channels == 3
        shift = light(data.augmentation, seed, position) if lit else 0.0
        return _standardised(mirrored(window, data.augmentation, seed, position), data, shift)

    images = _images(
        data,
        data.train,
        lambda epoch: epoch_order(count, seed, epoch),
        tf.data.Dataset.counter(first_epoch),
        first_epoch,
        step * batch_size,
        pixels,
    )
    return (
        _batched(images, count, batch_size)
        .apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY))
        .prefetch(tf.data.AUTOTUNE)
        .with_options(options())
    )


def evaluation(data: StreamedImages, batch_size: int, split: str) -> tf.data.Dataset:
    """Returns what `evaluation_batches` promises; the arguments are validated there."""
    import tensorflow as tf

    source: EncodedImages = getattr(data, split)

    def pixels(encoded, position):
        window = decode_window(encoded, data.channels, centre_window)
        return _standardised(window, data, 0.0)

    images = _images(
        data,
        source,
        lambda epoch: tf.range(len(source), dtype=tf.int64),
        tf.data.Dataset.range(1),
        0,
        0,
        pixels,
    )
    return (
        images.map(lambda position, image, label: (image, label))
        .batch(batch_size, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        .apply(tf.data.experimental.assert_cardinality(-(-len(source) // batch_size)))
        .prefetch(tf.data.AUTOTUNE)
        .with_options(options())
    )


def _images(
    data: StreamedImages,
    source: EncodedImages,
    order_of: Callable[[Any], Any],
    epochs: tf.data.Dataset,
    first_epoch: int,
    skipped: int,
    pixels: Callable[[Any, Any], Any],
) -> tf.data.Dataset:
    """Returns the images of some epochs one by one, in order, or stops at the first bad one.

    TensorFlow says neither which image it could not decode nor lets a function catch it. So the
    images that fail are dropped, and the next that does not fail shows by its position that one
    was: then, and only then, it is looked at again to say which and why. Every epoch ends with a
    mark that cannot fail, so that this also ends where nothing can be read any more.

    Args:
        data: Whose images they are.
        source: The split.
        order_of: Function of an epoch to the numbers of its images.
        epochs: The numbers of the epochs.
        first_epoch: The first of them.
        skipped: How many images of that one are left out.
        pixels: Function of a file's bytes and the position to a float32 image.

    Returns:
        A dataset of position, image and label. A position is a place in the run: that in the epoch
        plus `len(source) + 1` for each epoch before.
    """
    import tensorflow as tf

    count = len(source)
    read = source.reader()
    first = first_epoch * (count + 1) + skipped

    def places(epoch):
        numbers = tf.concat([order_of(epoch), tf.constant([-1], tf.int64)], 0)
        positions = epoch * (count + 1) + tf.range(count + 1, dtype=tf.int64)
        return tf.data.Dataset.from_tensor_slices((positions, numbers))

    def decoded(position, number):
        def image():
            encoded, label = read(number)
            in_range = tf.debugging.Assert((label >= 0) & (label < data.classes), [label])
            with tf.control_dependencies([in_range]):
                return pixels(encoded, position), tf.identity(label)

        def mark():
            return tf.zeros(data.input_shape), tf.constant(-1, tf.int64)

        pixels_and_label = tf.cond(number >= 0, image, mark)
        return position, tf.ensure_shape(pixels_and_label[0], data.input_shape), pixels_and_label[1]

    def refuse(number):
        raise ValueError(explain(source, int(number), data.classes, data.channels))

    def checked(expected, element):
        def missing():
            number = order_of(expected // (count + 1))[expected % (count + 1)]
            return tf.ensure_shape(tf.numpy_function(refuse, [number], tf.int64), ())

        after = tf.cond(element[0] == expected, lambda: expected + 1, missing)
        return after, element

    return (
        epochs.flat_map(places)
        .skip(skipped)
        .map(decoded, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        .ignore_errors(log_warning=False)
        .scan(tf.constant(first, tf.int64), checked)
        .filter(lambda position, image, label: label >= 0)
    )


def _standardised(pixels: Any, data: StreamedImages, shift: Any) -> Any:
    """Brings an image to the dataset's size and to `(pixel / 255 + shift - mean) / std`.

    One multiplication and one addition by rows: to broadcast 3 numbers pixel by pixel takes longer
    than to resize the image.
    """
    import tensorflow as tf

    resized = tf.image.resize(pixels, (data.size, data.size))
    std = tf.constant(data.std)
    scale = tf.tile(1 / (255 * std), [data.size])
    offset = tf.tile((shift - tf.constant(data.mean)) / std, [data.size])
    rows = tf.reshape(resized, (data.size, data.size * data.channels))
    return tf.reshape(rows * scale + offset, data.input_shape)


def _batched(images: tf.data.Dataset, count: int, batch_size: int) -> tf.data.Dataset:
    """Returns batches of images and labels, the last of each epoch as small as need be."""
    import tensorflow as tf

    rest = count % batch_size
    if rest == 0:
        return images.map(lambda position, image, label: (image, label)).batch(
            batch_size, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
        )
    return images.group_by_window(
        key_func=lambda position, image, label: tf.cast(
            position % (count + 1) >= count - rest, tf.int64
        ),
        reduce_func=lambda key, window: window.map(
            lambda position, image, label: (image, label)
        ).batch(batch_size),
        window_size_func=lambda key: tf.where(key == 1, tf.constant(rest, tf.int64), batch_size),
    )
