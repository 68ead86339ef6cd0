"""Training batches that JAX makes where the images lie: on the device."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from keras_selectscale.data.augmentation import Augmentation
from keras_selectscale.data.image_data import ImageData
from keras_selectscale.data.pipeline import COLUMNS, FLIPS, ORDER, ROWS


class DeviceImages(NamedTuple):
    """What the batches are made of; a function that is compiled takes it as an argument.

    Attributes:
        images: Of shape `(images, height, width, channels)`, uint8 where they are.
        labels: int32 of shape `(images,)`.
        mean: float32 of shape `(channels,)`, of pixels divided by 255.
        std: Likewise.
    """

    images: Any
    labels: Any
    mean: Any
    std: Any


def on_device(data: ImageData, sharding: Any = None) -> DeviceImages:
    """Copies a training split to the device, or to each device of a sharding.

    Args:
        data: Dataset whose training split to copy.
        sharding: Of JAX, replicated; `None` is the default device.
    """
    import jax

    arrays = DeviceImages(
        data.train_images,
        data.train_labels.astype(np.int32),
        np.asarray(data.mean, np.float32),
        np.asarray(data.std, np.float32),
    )
    if sharding is None:
        return DeviceImages(*(jax.device_put(array) for array in arrays))
    # Every process holds all of it; `device_put` would compare them over the network.
    return DeviceImages(
        *(
            jax.make_array_from_callback(array.shape, sharding, array.__getitem__)
            for array in arrays
        )
    )


def epoch_order(count: int, seed: int, epoch: Any) -> Any:
    """Returns the numbers from 0 to `count - 1` shuffled by the seed and the epoch, int32."""
    import jax

    return jax.random.permutation(_key(seed, ORDER, epoch), count)


def make_batch(
    source: DeviceImages, chosen: Any, augmentation: Augmentation, seed: int, step: Any
) -> tuple[Any, Any]:
    """Returns some images, augmented by the seed and the step and normalised, and their labels.

    What is done is what `training_batches` does; the numbers that JAX draws are others.

    Args:
        source: The images.
        chosen: Which of them, an integer array of shape `(batch,)`.
        augmentation: What is done at random.
        seed: At least 0.
        step: Number of the batch in the run, an int or an integer scalar.

    Returns:
        float32 of shape `(batch, height, width, channels)` and int32 of shape `(batch,)`.
    """
    import jax.numpy as jnp

    images = augment(source.images[chosen], augmentation, seed, step)
    return (images.astype(jnp.float32) / 255.0 - source.mean) / source.std, source.labels[chosen]


def augment(images: Any, augmentation: Augmentation, seed: int, step: Any) -> Any:
    """Pads, crops and mirrors a batch, all of it decided by the seed and the step."""
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


def _key(seed: int, stream: int, number: Any) -> Any:
    import jax

    return jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), stream), number)
