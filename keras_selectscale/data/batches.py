"""Batches in tf.data: shuffled and augmented to train on, plain to evaluate with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from keras_selectscale.data import streamed_batches
from keras_selectscale.data.any_images import AnyImages
from keras_selectscale.data.arguments import as_integer
from keras_selectscale.data.augmentation import Augmentation
from keras_selectscale.data.pipeline import (
    COLUMNS,
    FLIPS,
    ROWS,
    epoch_order,
    host_tensors,
    normalise,
    options,
    random_stream,
)
from keras_selectscale.data.streamed_images import StreamedImages

if TYPE_CHECKING:
    import tensorflow as tf


def steps_per_epoch(data: AnyImages, batch_size: int) -> int:
    """Returns the number of batches in which every training image comes once."""
    return -(-data.train_count // as_integer("batch_size", batch_size, 1))


def training_batches(
    data: AnyImages, *, batch_size: int, seed: int, first_step: int = 0
) -> tf.data.Dataset:
    """Returns endless batches of shuffled, augmented and normalised training images.

    An epoch visits every image once; its last batch is smaller where `batch_size` does not divide
    their number. The order is a function of the seed and the epoch, and what is done to the images
    one of the seed and the step, and of nothing else: batch `i` of a dataset that starts at
    `first_step` equals, to the bit, batch `first_step + i` of one that starts at 0. So a run that
    stopped anywhere goes on with the batches it would have seen, and no two epochs are alike.

    An image is padded with pixels of value 0 and cropped to its size, mirrored in half of the cases
    where `data.augmentation.flip` says so, and then normalised: `(pixel / 255 - mean) / std`.
    Streamed images are read, decoded and augmented (see `InceptionAugmentation`) one by one, by
    the seed and the image's position in the run, which gives the same promises.

    Args:
        data: Dataset whose training split to use. Images in memory are copied once, as they are
            (uint8 stays uint8), for as long as the batches are in use.
        batch_size: Images a batch, at least 1.
        seed: At least 0.
        first_step: Number of batches to leave out, at least 0. They are not made: all it costs is
            to pass over the start of one epoch's order.

    Returns:
        A dataset of `(images, labels)`: float32 of shape `(batch, height, width, channels)` and
        int64 of shape `(batch,)`.

    Raises:
        TypeError: Where an argument is no integer.
        ValueError: Where an argument is out of its range.

    A streamed image that cannot be used stops the iteration: see `image_errors`.
    """
    import tensorflow as tf

    steps = steps_per_epoch(data, batch_size)
    seed = as_integer("seed", seed, 0)
    first_step = as_integer("first_step", first_step, 0)
    if isinstance(data, StreamedImages):
        return streamed_batches.training(data, batch_size, seed, first_step)
    images, labels = host_tensors(data.train_images, data.train_labels)

    def shuffled(epoch):
        order = epoch_order(data.train_count, seed, epoch)
        return tf.data.Dataset.from_tensor_slices(order).batch(batch_size)

    def prepared(step, chosen):
        pixels = augment(tf.gather(images, chosen), data.augmentation, seed, step)
        return normalise(pixels, data), tf.gather(labels, chosen)

    indices = tf.data.Dataset.counter(first_step // steps).flat_map(shuffled)
    return (
        tf.data.Dataset.zip(tf.data.Dataset.counter(first_step), indices.skip(first_step % steps))
        .map(prepared, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        .apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY))
        .prefetch(tf.data.AUTOTUNE)
        .with_options(options())
    )


def evaluation_batches(data: AnyImages, *, batch_size: int, split: str = "test") -> tf.data.Dataset:
    """Returns all images of a split once, in their order, normalised and not augmented.

    Args:
        data: Dataset to evaluate on.
        batch_size: Images a batch, at least 1; the last one is smaller where need be.
        split: `"test"` or `"train"`.

    Returns:
        A finite dataset of `(images, labels)`, as of `training_batches`.

    Raises:
        TypeError: Where `batch_size` is no integer.
        ValueError: Where `batch_size` is below 1 or `split` another.
    """
    batch_size = as_integer("batch_size", batch_size, 1)
    if split not in ("test", "train"):
        raise ValueError(f'Argument `split` must be "test" or "train". Received: split={split!r}')
    import tensorflow as tf

    if isinstance(data, StreamedImages):
        return streamed_batches.evaluation(data, batch_size, split)
    images, labels = host_tensors(
        getattr(data, f"{split}_images"), getattr(data, f"{split}_labels")
    )

    def prepared(start):
        batch = slice(start, start + batch_size)
        return normalise(images[batch], data), labels[batch]

    return (
        tf.data.Dataset.range(0, len(labels), batch_size)
        .map(prepared, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        .prefetch(tf.data.AUTOTUNE)
        .with_options(options())
    )


def augment(images: Any, augmentation: Augmentation, seed: int, step: Any) -> Any:
    """Pads, crops and mirrors a batch, all of it decided by the seed and the step.

    Args:
        images: Of shape `(batch, height, width, channels)`, any dtype.
        augmentation: What is done.
        seed: At least 0.
        step: Number of the batch in the run, an int or an int64 scalar tensor.

    Returns:
        The same shape and dtype.
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
