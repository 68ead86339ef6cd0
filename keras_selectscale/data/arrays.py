"""Arrays of images: their statistics, their memory, which TensorFlow shares, and their batches."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_selectscale.checks import value_error
from keras_selectscale.data.augmentation import augment, epoch_order
from keras_selectscale.environment import require
from keras_selectscale.regular_files import machine_memory
from keras_selectscale.wording import counted

if TYPE_CHECKING:
    import tensorflow as tf

    from keras_selectscale.data.dataset import Dataset
    from keras_selectscale.data.image_data import InMemory

# Bytes of the decoded images of both splits; larger datasets are streamed.
LARGEST_IN_MEMORY = 2 * 2**30
# Number of images whose squares are summed at a time. It determines the rounding of the standard
# deviation, so changing it would change the batches of old runs.
STATISTICS_CHUNK = 1024
# Rows of pixels converted to float64 at a time (0.8 MB of colours), and chunks whose rows are
# added side by side.
STATISTICS_ROWS, STATISTICS_CHUNKS = 2**15, 16
# Pixels that are regarded as one row of a sum: NumPy adds short rows slowly.
SUMMED_PIXELS = 256
# Most images, and bytes of their pixels, that are resized at a time.
RESIZED_CHUNK, RESIZED_BYTES = 500, 2**23
# TensorFlow aborts the process if the memory of an array is not aligned to this many bytes.
ALIGNMENT = 64


def fits_in_memory(images: int, shape: tuple[int, int, int], image_size: int | None) -> bool:
    """Returns whether uint8 images fit in memory, both as they are and resized.

    Args:
        images: Number of images of both splits.
        shape: Height, width and channels.
        image_size: Height and width after resizing, or `None`.
    """
    height, width, channels = shape
    pixels = max(height * width, (image_size or 0) ** 2)
    return images * pixels * channels <= LARGEST_IN_MEMORY


def mean_and_std(images: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Returns the mean and the standard deviation of each channel, of pixels divided by 255.

    They are computed over all pixels of all images, in float64 and in two passes; the standard
    deviation is that of the population.

    Args:
        images: Pixels from 0 to 255, of shape `(images, height, width, channels)`.
    """
    starts = range(0, len(images), STATISTICS_CHUNK)
    chunks = [images[start : start + STATISTICS_CHUNK] for start in starts]
    pixels = images[..., 0].size
    nothing = np.zeros(images.shape[-1])
    mean = sum((_sum(chunk) for chunk in chunks), nothing) / pixels
    std = np.sqrt(sum(_squares(chunks, mean), nothing) / pixels)
    return tuple((mean / 255).tolist()), tuple((std / 255).tolist())


def _sum(images: np.ndarray) -> np.ndarray:
    """Returns the sum of each channel; that of uint8 takes a tenth of the time."""
    if images.dtype != np.uint8:
        return images.sum((0, 1, 2), dtype=np.float64)
    channels = images.shape[-1]
    beside = math.gcd(images[..., 0].size, SUMMED_PIXELS)
    # Sums of integers are exact in any order.
    sums = images.reshape(-1, beside * channels).sum(0, dtype=np.float64)
    return sums.reshape(-1, channels).sum(0)


def _squares(chunks: list[np.ndarray], mean: np.ndarray) -> Iterator[np.ndarray]:
    """Yields `np.square(chunk - mean).sum((0, 1, 2))` of each chunk of images to the bit.

    It takes less memory and half of the time: NumPy adds rows of pixels one after the other, so the
    sum so far can stand in for the first row, and chunks of equal size are added side by side.
    """
    if len(mean) == 1:  # NumPy adds the halves of a single column.
        yield from (_sum_of_halves(chunk.reshape(-1, 1), mean) for chunk in chunks)
        return
    for _, equal in itertools.groupby(chunks, len):
        while some := list(itertools.islice(equal, STATISTICS_CHUNKS)):
            yield from _side_by_side(some, mean)


def _side_by_side(chunks: list[np.ndarray], mean: np.ndarray) -> np.ndarray:
    """Returns the sums of `_squares` of chunks of equal size."""
    columns = [chunk.reshape(-1, chunk.shape[-1]) for chunk in chunks]
    means = np.tile(mean, len(chunks))
    total = np.empty((0, len(means)))
    rows = max(1, STATISTICS_ROWS // len(chunks))
    for start in range(0, len(columns[0]), rows):
        some = np.concatenate([each[start : start + rows] for each in columns], 1)
        carried = len(total)
        squares = np.empty((carried + len(some), len(means)))
        squares[:carried] = total
        np.subtract(some, means, out=squares[carried:])
        np.square(squares[carried:], out=squares[carried:])
        total = squares.sum(0, keepdims=True)
    return total.reshape(len(chunks), -1)


def _sum_of_halves(rows: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Returns the sum of `_squares` of one channel: the sum of the halves that NumPy adds."""
    if len(rows) <= STATISTICS_ROWS:
        return np.square(rows - mean).sum(0)
    half = len(rows) // 2 // 8 * 8
    return _sum_of_halves(rows[:half], mean) + _sum_of_halves(rows[half:], mean)


def resized(images: np.ndarray, image_size: int) -> np.ndarray:
    """Returns uint8 images with height and width `image_size`, bilinear and antialiased.

    The shorter side is resized to it, and the longer one is cropped to its centre.

    Raises:
        ValueError: If they are larger than the memory of the machine.
    """
    size, memory = len(images) * image_size**2 * images.shape[-1], machine_memory()
    if size > memory:
        expected = (
            f"smaller: {counted(len(images), 'image')} of this size take "
            f"{size / 2**30:,.0f} GiB, and the machine has {memory / 2**30:,.0f}"
        )
        raise value_error("image_size", expected, image_size)
    require("tensorflow", "tensorflow", "Bringing images to another size")
    import tensorflow as tf

    height, width, channels = images.shape[1:]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    result = aligned_empty((len(images), image_size, image_size, channels))
    largest = max(side, image_size) ** 2 * channels
    chunk_size = max(1, min(RESIZED_CHUNK, RESIZED_BYTES // largest))
    for start in range(0, len(images), chunk_size):
        chunk = images[start : start + chunk_size, top : top + side, left : left + side]
        with tf.device("CPU:0"):
            pixels = tf.image.resize(chunk, (image_size, image_size), antialias=True).numpy()
        result[start : start + chunk_size] = np.clip(np.round(pixels), 0, 255)
    return result


def aligned_empty(shape: tuple[int, ...], dtype: Any = np.uint8) -> np.ndarray:
    """Returns an uninitialized array that TensorFlow can use without copying it."""
    size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    memory = np.empty(size + ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    return memory[start : start + size].view(dtype).reshape(shape)


def host_tensors(*arrays: np.ndarray) -> list[Any]:
    """Returns arrays as tensors in the memory of the host, where tf.data works.

    An aligned array is not copied, and any other array is copied once. `tf.constant` would need
    twice the memory for a moment. A mapped function captures the tensors, so that they are not part
    of its graph, which is limited to 2 GB.
    """
    import tensorflow as tf

    tensors = []
    with tf.device("CPU:0"):
        for array in arrays:
            if array.dtype == object:
                tensors.append(tf.constant(array))
                continue
            usable = array.flags.c_contiguous and array.flags.writeable
            if not usable or array.ctypes.data % ALIGNMENT:
                copy = aligned_empty(array.shape, array.dtype)
                copy[...] = array
                array = copy
            tensors.append(tf.experimental.dlpack.from_dlpack(array.__dlpack__()))
    return tensors


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

    epochs = tf.data.Dataset.counter(first_step // steps)
    indices = epochs.flat_map(tf.autograph.experimental.do_not_convert(shuffled))
    numbered = tf.data.Dataset.zip(
        tf.data.Dataset.counter(first_step), indices.skip(first_step % steps)
    )
    return finished(mapped(numbered, prepared), tf.data.INFINITE_CARDINALITY)


def array_evaluation(data: InMemory, batch_size: int, split: str) -> tf.data.Dataset:
    """Returns the batches of a split of images in memory; see `evaluation_batches`."""
    import tensorflow as tf

    images, labels = host_tensors(*data.arrays(split))

    def prepared(start):
        batch = slice(start, start + batch_size)
        return _normalized(images[batch], data), labels[batch]

    starts = tf.data.Dataset.range(0, len(labels), batch_size)
    return finished(mapped(starts, prepared), -(-len(labels) // batch_size))


def _normalized(images: Any, data: Dataset) -> Any:
    import tensorflow as tf

    return (tf.cast(images, tf.float32) / 255.0 - data.mean) / data.std


def mapped(dataset: tf.data.Dataset, function: Callable[..., Any]) -> tf.data.Dataset:
    """Returns a dataset of what a function makes of each element, in order and in parallel."""
    import tensorflow as tf

    # AutoGraph would take longer to read this package than the function to be traced.
    function = tf.autograph.experimental.do_not_convert(function)
    return dataset.map(function, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)


def finished(batches: tf.data.Dataset, cardinality: int) -> tf.data.Dataset:
    """Returns batches with their number, made ahead of their use."""
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
