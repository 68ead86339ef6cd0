"""Batches without tf.data: training batches made on JAX's device, evaluation batches in NumPy."""

from __future__ import annotations

from typing import Any, NamedTuple

import keras
import numpy as np

from keras_selectscale.data.augmentation import COLUMNS, FLIPS, ORDER, ROWS, Augmentation
from keras_selectscale.data.dataset import Dataset


class DeviceImages(NamedTuple):
    """A training split on the device; pass it to a compiled function as an argument.

    Attributes:
        images: Of shape `(images, height, width, channels)`, in their own dtype.
        labels: int32 of shape `(images,)`.
        mean: float32 of shape `(channels,)`, of pixels divided by 255.
        std: float32 of shape `(channels,)`, likewise.
    """

    images: Any
    labels: Any
    mean: Any
    std: Any


def on_device(data: Dataset, sharding: Any = None) -> DeviceImages:
    """Copies a training split to the device, or to each device of a sharding.

    Args:
        data: Dataset in memory.
        sharding: A replicated sharding of JAX; `None` stands for the default device.

    Raises:
        TypeError: If the images are not in memory.
    """
    import jax

    images, labels = data.arrays("train")
    arrays = DeviceImages(
        images,
        labels.astype(np.int32),
        np.asarray(data.mean, np.float32),
        np.asarray(data.std, np.float32),
    )
    if sharding is None:
        return DeviceImages(*(jax.device_put(array) for array in arrays))
    # Every process holds all images; `device_put` would compare them over the network.
    return DeviceImages(
        *(
            jax.make_array_from_callback(array.shape, sharding, array.__getitem__)
            for array in arrays
        )
    )


def epoch_order(count: int, seed: int, epoch: Any) -> Any:
    """Returns the numbers from 0 to `count - 1`, shuffled by the seed and the epoch, as int32."""
    import jax

    return jax.random.permutation(_key(seed, ORDER, epoch), count)


def make_batch(
    source: DeviceImages, chosen: Any, augmentation: Augmentation, seed: int, step: Any
) -> tuple[Any, Any]:
    """Returns some images, augmented by the seed and the step and normalized, and their labels.

    The operations are those of `training_batches`, but JAX draws other random numbers.

    Args:
        source: The images.
        chosen: Their indices, an integer array of shape `(batch,)`.
        augmentation: Random changes to the images.
        seed: At least 0.
        step: Number of the batch in the run, an int or an integer scalar.

    Returns:
        float32 of shape `(batch, height, width, channels)` and int32 of shape `(batch,)`.
    """
    import jax.numpy as jnp

    images = augment(source.images[chosen], augmentation, seed, step)
    return (images.astype(jnp.float32) / 255.0 - source.mean) / source.std, source.labels[chosen]


def augment(images: Any, augmentation: Augmentation, seed: int, step: Any) -> Any:
    """Pads, crops and mirrors a batch; the seed and the step decide how."""
    import jax
    import jax.numpy as jnp

    batch, height, width, _ = images.shape
    padding = augmentation.padding

    def drawn(below: int, stream: int) -> Any:
        return jax.random.randint(_key(seed, stream, step), (batch, 1), 0, below)

    rows = jnp.broadcast_to(jnp.arange(height), (batch, height))
    columns = jnp.broadcast_to(jnp.arange(width), (batch, width))
    if augmentation.flip:
        columns = jnp.where(drawn(2, FLIPS) == 1, columns[:, ::-1], columns)
    if padding:
        rows = rows + drawn(2 * padding + 1, ROWS)
        columns = columns + drawn(2 * padding + 1, COLUMNS)
        images = jnp.pad(images, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    return images[jnp.arange(batch)[:, None, None], rows[:, :, None], columns[:, None, :]]


class EvaluationSequence(keras.utils.PyDataset):
    """All images of a split once, in their order, normalized and not augmented, in NumPy.

    Args:
        data: Dataset in memory.
        batch_size: Images per batch, at least 1; the last batch may be smaller.
        split: As `evaluation_batches` takes it.
    """

    def __init__(self, data: Dataset, batch_size: int, split: str | None = None):
        super().__init__()
        self.images, self.labels = data.arrays(data.check_split(split))
        self.mean = np.asarray(data.mean, np.float32)
        self.std = np.asarray(data.std, np.float32)
        self.batch_size = batch_size

    def __len__(self) -> int:
        return -(-len(self.labels) // self.batch_size)

    def __getitem__(self, number: int) -> tuple[Any, Any]:
        batch = slice(number * self.batch_size, (number + 1) * self.batch_size)
        pixels = self.images[batch].astype(np.float32) / np.float32(255)
        return (pixels - self.mean) / self.std, self.labels[batch]


def _key(seed: int, stream: int, number: Any) -> Any:
    import jax

    return jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), stream), number)
