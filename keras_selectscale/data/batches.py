"""The tf.data batches of images in memory and of streamed images."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from keras_selectscale.data.arrays import host_tensors
from keras_selectscale.data.augmentation import (
    augment,
    centre_window,
    epoch_order,
    light,
    mirrored,
    random_window,
)
from keras_selectscale.data.decoding import decode_window, explain

if TYPE_CHECKING:
    import tensorflow as tf

    from keras_selectscale.data.dataset import Dataset
    from keras_selectscale.data.encoded_images import EncodedImages
    from keras_selectscale.data.image_data import InMemory
    from keras_selectscale.data.streamed_images import Streamed


def array_training(data: InMemory, batch_size: int, seed: int, first_step: int) -> tf.data.Dataset:
    """Returns the training batches of images in memory; see `training_batches`."""
    import tensorflow as tf

    count = data.train_count
    steps = -(-count // batch_size)
    images, labels = host_tensors(*data.arrays("train"))

    def shuffled(epoch):
        order = epoch_order(count, seed, epoch)
        return tf.data.Dataset.from_tensor_slices(order).batch(batch_size)

    def prepared(step, chosen):
        pixels = augment(tf.gather(images, chosen), data.augmentation, seed, step)
        return _normalized(pixels, data), tf.gather(labels, chosen)

    indices = tf.data.Dataset.counter(first_step // steps).flat_map(shuffled)
    numbered = tf.data.Dataset.zip(
        tf.data.Dataset.counter(first_step), indices.skip(first_step % steps)
    )
    batches = numbered.map(prepared, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return _finished(batches, tf.data.INFINITE_CARDINALITY)


def array_evaluation(data: InMemory, batch_size: int, split: str) -> tf.data.Dataset:
    """Returns the batches of a split of images in memory; see `evaluation_batches`."""
    import tensorflow as tf

    images, labels = host_tensors(*data.arrays(split))

    def prepared(start):
        batch = slice(start, start + batch_size)
        return _normalized(images[batch], data), labels[batch]

    starts = tf.data.Dataset.range(0, len(labels), batch_size)
    batches = starts.map(prepared, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return _finished(batches, -(-len(labels) // batch_size))


def streamed_training(
    data: Streamed, batch_size: int, seed: int, first_step: int
) -> tf.data.Dataset:
    """Returns the training batches of streamed images; see `training_batches`."""
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
        return _standardized(mirrored(window, data.augmentation, seed, position), data, shift)

    images = _images(
        data,
        data.encoded("train"),
        lambda epoch: epoch_order(count, seed, epoch),
        tf.data.Dataset.counter(first_epoch),
        first_epoch,
        step * batch_size,
        pixels,
    )
    return _finished(_batched(images, count, batch_size), tf.data.INFINITE_CARDINALITY)


def streamed_evaluation(data: Streamed, batch_size: int, split: str) -> tf.data.Dataset:
    """Returns the batches of a split of streamed images; see `evaluation_batches`."""
    import tensorflow as tf

    source = data.encoded(split)

    def pixels(encoded, position):
        return _standardized(decode_window(encoded, data.channels, centre_window), data, 0.0)

    images = _images(
        data,
        source,
        lambda epoch: tf.range(len(source), dtype=tf.int64),
        tf.data.Dataset.range(1),
        0,
        0,
        pixels,
    )
    batches = images.map(lambda position, image, label: (image, label)).batch(
        batch_size, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
    )
    return _finished(batches, -(-len(source) // batch_size))


def _images(
    data: Streamed,
    source: EncodedImages,
    order_of: Callable[[Any], Any],
    epochs: tf.data.Dataset,
    first_epoch: int,
    skipped: int,
    pixels: Callable[[Any, Any], Any],
) -> tf.data.Dataset:
    """Returns the images of some epochs one by one, in order, or stops at the first bad one.

    TensorFlow neither says which image it could not decode nor lets a function catch the error. So
    images that fail are dropped, and the position of the next image that does not fail shows that
    one is missing. Only then is the missing image read again, to find out why. Every epoch ends
    with a mark that cannot fail, so that this also ends if nothing can be read any more.

    Args:
        data: Dataset of the images.
        source: The split.
        order_of: Function of an epoch to the numbers of its images.
        epochs: The numbers of the epochs.
        first_epoch: The first of them.
        skipped: How many of its images to leave out.
        pixels: Function of a file's bytes and the position to a float32 image.

    Returns:
        A dataset of position, image and label. A position is a place in the run: the place in the
        epoch plus `len(source) + 1` for each earlier epoch.
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


def _batched(images: tf.data.Dataset, count: int, batch_size: int) -> tf.data.Dataset:
    """Returns batches of images and labels; the last one of each epoch may be smaller."""
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


def _standardized(pixels: Any, data: Streamed, shift: Any) -> Any:
    """Resizes an image to the dataset's size and returns `(pixel / 255 + shift - mean) / std`.

    One multiplication and one addition per row: broadcasting 3 numbers pixel by pixel takes longer
    than resizing the image.
    """
    import tensorflow as tf

    resized = tf.image.resize(pixels, (data.size, data.size))
    std = tf.constant(data.std)
    scale = tf.tile(1 / (255 * std), [data.size])
    offset = tf.tile((shift - tf.constant(data.mean)) / std, [data.size])
    rows = tf.reshape(resized, (data.size, data.size * data.channels))
    return tf.reshape(rows * scale + offset, data.input_shape)


def _normalized(images: Any, data: Dataset) -> Any:
    import tensorflow as tf

    return (tf.cast(images, tf.float32) / 255.0 - data.mean) / data.std


def _finished(batches: tf.data.Dataset, cardinality: int) -> tf.data.Dataset:
    import tensorflow as tf

    return (
        batches.apply(tf.data.experimental.assert_cardinality(cardinality))
        .prefetch(tf.data.AUTOTUNE)
        .with_options(options())
    )


def options() -> Any:
    """Returns options without automatic rewriting, which would copy the captured tensors.

    The pipelines contain what it would add: parallel maps and a prefetch.
    """
    import tensorflow as tf

    chosen = tf.data.Options()
    chosen.experimental_optimization.apply_default_optimizations = False
    return chosen
