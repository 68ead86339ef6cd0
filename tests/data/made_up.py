"""Made-up datasets of which a test can tell everything."""

import numpy as np

from keras_selectscale.data import Augmentation, ImageData


def image_data(
    images: int = 23,
    shape: tuple[int, int, int] = (6, 5, 2),
    padding: int = 2,
    flip: bool = True,
    dtype: str = "uint8",
) -> ImageData:
    """Returns images of noise, never 0, each the only one of its class: label i is image i."""
    rng = np.random.default_rng(7)
    pixels = rng.integers(1, 256, (2 * images, *shape)).astype(dtype)
    channels = np.arange(shape[-1])
    return ImageData(
        name="made-up",
        train_images=pixels[:images],
        train_labels=np.arange(images),
        test_images=pixels[images:],
        test_labels=np.arange(images)[::-1].copy(),
        classes=images,
        mean=tuple((0.4 + 0.1 * channels).tolist()),
        std=tuple((0.2 + 0.05 * channels).tolist()),
        augmentation=Augmentation(padding=padding, flip=flip),
    )


def normalised(images: np.ndarray, data: ImageData) -> np.ndarray:
    """Returns what the networks see, in float64."""
    return (images.astype("float64") / 255 - np.array(data.mean)) / np.array(data.std)
