"""The tf.data batches of streamed images."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from keras_selectscale.data.arrays import finished, mapped
from keras_selectscale.data.augmentation import epoch_order
from keras_selectscale.data.decoding import decode_windows
from keras_selectscale.data.encoded_images import explain
from keras_selectscale.data.image_draws import (
    Draws,
    centre_windows,
    draw,
    random_windows,
    shifts,
)

if TYPE_CHECKING:
    import tensorflow as tf

    from keras_selectscale.data.encoded_images import EncodedImages
    from keras_selectscale.data.streamed_images import Streamed

# Most images, and numbers of images, that one call of a function decodes. With 32 images, building
# the function takes longer and the batches as long as with 16.
PART, PART_VALUES = 16, 2**18
# Images whose random numbers are drawn at a time.
DRAWN = 1024


def streamed_training(
    data: Streamed, batch_size: int, seed: int, first_step: int
) -> tf.data.Dataset:
    """Returns the training batches of streamed images; see `training_batches`."""
    import tensorflow as tf

    parts = _Parts.of(data, data.train_count, batch_size)
    augmentation = data.augmentation

    def drawn(index, numbers, positions):
        draws = draw(augmentation, seed, tf.reshape(positions, (-1,)))
        per_part = (tf.reshape(each, (-1, parts.images, *each.shape[1:])) for each in draws)
        return index, numbers, Draws(*per_part)

    def pixels(images, draws):
        windows = decode_windows(
            images,
            data.channels,
            lambda heights, widths: random_windows(draws, heights, widths, augmentation),
            draws.flips if augmentation.flip else None,
        )
        lit = augmentation.lighting and data.channels == 3
        return _standardized(windows, data, shifts(draws, augmentation) if lit else None)

    first_epoch, first_batch = divmod(first_step, parts.batches)
    every = tf.data.Dataset.counter(first_epoch)
    order = functools.partial(epoch_order, parts.count, seed)
    places = every.flat_map(lambda epoch: parts.of_epoch(epoch, order(epoch)))
    places = places.skip(first_batch * parts.per_batch).batch(-(-DRAWN // parts.images))
    places = mapped(places, drawn).unbatch()
    first = first_epoch * parts.per_epoch + first_batch * parts.per_batch
    batches = _batches(data, data.encoded("train"), parts, places, first, order, pixels)
    return finished(batches, tf.data.INFINITE_CARDINALITY)


def streamed_evaluation(data: Streamed, batch_size: int, split: str) -> tf.data.Dataset:
    """Returns the batches of a split of streamed images; see `evaluation_batches`."""
    import tensorflow as tf

    source = data.encoded(split)
    parts = _Parts.of(data, len(source), batch_size)

    def order(epoch):
        return tf.range(parts.count, dtype=tf.int64)

    def pixels(images, positions):
        windows = decode_windows(images, data.channels, centre_windows)
        return _standardized(windows, data, None)

    places = parts.of_epoch(tf.constant(0, tf.int64), order(0))
    batches = _batches(data, source, parts, places, 0, order, pixels)
    return finished(batches, parts.batches)


@dataclasses.dataclass(frozen=True)
class _Parts:
    """How the batches of an epoch are divided into parts, each decoded by one call of a function.

    For small images, the calls of functions and of operations for single numbers would take longer
    than decoding.

    Attributes:
        count: Images of an epoch.
        batch_size: Images of a batch; the last one may have fewer.
        images: Images of a part.
    """

    count: int
    batch_size: int
    images: int

    @classmethod
    def of(cls, data: Streamed, count: int, batch_size: int) -> _Parts:
        """Returns parts of nearly equal size, so that few places of the last one are empty."""
        most = max(1, min(PART, PART_VALUES // math.prod(data.input_shape), batch_size, count))
        size = min(batch_size, count)
        return cls(count, batch_size, -(-size // -(-size // most)))

    @property
    def batches(self) -> int:
        """Number of batches of an epoch."""
        return -(-self.count // self.batch_size)

    @property
    def per_batch(self) -> int:
        """Number of parts of a batch."""
        return -(-self.batch_size // self.images)

    @property
    def rest(self) -> int:
        """Images of the last batch if they are fewer, or 0."""
        return self.count % self.batch_size

    @property
    def of_rest(self) -> int:
        """Number of parts of that batch."""
        return -(-self.rest // self.images)

    @property
    def per_epoch(self) -> int:
        """Number of parts of an epoch, with the mark at its end."""
        return self.count // self.batch_size * self.per_batch + self.of_rest + 1

    def of_epoch(self, epoch: Any, order: Any) -> tf.data.Dataset:
        """Returns the parts of an epoch.

        Args:
            epoch: Number of the epoch, int64 scalar.
            order: The numbers of its images, int64.

        Returns:
            A dataset of the index of a part in the run, and, each int64 of shape `(images,)`, the
            numbers of its images and their positions in the run: the place in the epoch plus
            `count + 1` for each earlier epoch. The last part is a mark.
        """
        import tensorflow as tf

        def places(size, parts):
            # The last image fills the places that are left.
            return tf.minimum(tf.range(parts * self.images, dtype=tf.int64), size - 1)

        whole = self.count // self.batch_size
        starts = self.batch_size * tf.range(whole, dtype=tf.int64)
        full = tf.reshape(starts[:, None] + places(self.batch_size, self.per_batch), (-1,))
        rest = self.count - self.rest + places(self.rest, self.of_rest)
        mark = tf.zeros(self.images, tf.int64)
        every = tf.reshape(tf.concat([full, rest, mark], 0), (-1, self.images))
        indices = epoch * self.per_epoch + tf.range(self.per_epoch, dtype=tf.int64)
        return tf.data.Dataset.from_tensor_slices(
            (indices, tf.gather(order, every), epoch * (self.count + 1) + every)
        )


def _batches(
    data: Streamed,
    source: EncodedImages,
    parts: _Parts,
    places: tf.data.Dataset,
    first: int,
    order: Callable[[Any], Any],
    pixels: Callable[[list[Any], Any], Any],
) -> tf.data.Dataset:
    """Returns the batches of some epochs, in order, or stops at the first bad image.

    TensorFlow neither says which image it could not decode nor lets a function catch the error. So
    parts that fail are dropped, and the index of the next part that does not fail shows that one is
    missing. Only then are the images of the missing part read again, to find out why. Every epoch
    ends with a mark that cannot fail, so that this also ends if nothing can be read any more.

    Args:
        data: Dataset of the images.
        source: The split.
        parts: How batches are divided.
        places: A dataset of the index of a part, the numbers of its images, and what `pixels`
            takes.
        first: Index of the first part.
        order: Function of an epoch to the numbers of its images.
        pixels: Function of the files' bytes and a part's third entry to float32 images.
    """
    import tensorflow as tf

    read = source.reader()
    shape = (parts.images, *data.input_shape)

    def decoded(index, numbers, drawn):
        def images():
            encoded, labels = read(numbers)
            in_range = tf.debugging.Assert(
                tf.reduce_all((labels >= 0) & (labels < data.classes)), [labels]
            )
            with tf.control_dependencies([in_range]):
                return pixels(encoded, drawn), tf.identity(labels)

        def mark():
            return tf.zeros(shape), tf.fill((parts.images,), tf.constant(-1, tf.int64))

        some, labels = tf.cond(_place(index) < parts.per_epoch - 1, images, mark)
        return index, tf.ensure_shape(some, shape), tf.ensure_shape(labels, (parts.images,))

    def _place(index):
        return index % parts.per_epoch

    def refuse(numbers):
        raise ValueError(explain(source, numbers.tolist(), data.classes, data.channels))

    def checked(expected, element):
        def missing():
            epoch = expected // parts.per_epoch
            part = parts.of_epoch(epoch, order(epoch)).skip(_place(expected)).take(1)
            numbers = part.get_single_element()[1]
            return tf.ensure_shape(tf.numpy_function(refuse, [numbers], tf.int64), ())

        after = tf.cond(element[0] == expected, lambda: expected + 1, missing)
        return after, element

    def in_rest(index, images, labels):
        return tf.cast(_place(index) >= parts.per_epoch - 1 - parts.of_rest, tf.int64)

    def joined(index, images, labels):
        size = parts.batch_size
        if parts.rest:
            size = tf.where(in_rest(index[0], images, labels) == 1, parts.rest, size)
        return tf.reshape(images, (-1, *shape[1:]))[:size], tf.reshape(labels, (-1,))[:size]

    found = (
        mapped(places, decoded)
        .ignore_errors(log_warning=False)
        .scan(tf.constant(first, tf.int64), checked)
        .filter(lambda index, images, labels: _place(index) < parts.per_epoch - 1)
    )
    if parts.of_rest in (0, parts.per_batch):
        found = found.batch(
            parts.per_batch, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
        )
    else:
        sizes = tf.constant([parts.per_batch, parts.of_rest], tf.int64)
        found = found.group_by_window(
            in_rest, lambda key, window: window.batch(parts.per_batch), None, sizes.__getitem__
        )
    return found.map(tf.autograph.experimental.do_not_convert(joined))


def _standardized(windows: list[Any], data: Streamed, shift: Any) -> Any:
    """Resizes images to the dataset's size and returns `(pixel / 255 + shift - mean) / std`.

    One multiplication and one addition per row: broadcasting 3 numbers pixel by pixel takes longer
    than resizing the image.

    Args:
        windows: The images.
        data: Their dataset.
        shift: float32 of shape `(images, channels)`, or `None`.
    """
    import tensorflow as tf

    size = data.size
    # The operation of `tf.image.resize`.
    resize = functools.partial(
        tf.raw_ops.ResizeBilinear, size=(size, size), half_pixel_centers=True
    )
    resized = tf.concat([resize(images=window[None]) for window in windows], 0)
    std = tf.constant(data.std)
    scale = tf.tile(1 / (255 * std), [size])
    offset = ((0.0 if shift is None else shift) - tf.constant(data.mean)) / std
    rows = tf.reshape(tf.concat(resized, 0), (-1, size * data.channels)) * scale
    if shift is None:
        rows += tf.tile(offset, [size])
    else:
        rows = tf.reshape(rows, (len(windows), size, -1)) + tf.tile(offset, [1, size])[:, None]
    return tf.reshape(rows, (len(windows), *data.input_shape))
