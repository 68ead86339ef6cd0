"""Decoding of a window of an image, in tf.data."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np

PNG = b"\x89PNG\r\n\x1a\n"


def decode_window(encoded: Any, channels: int, choose: Callable[[Any, Any], Any]) -> Any:
    """Decodes a window of an image and, where it is a JPEG, no more than that.

    JPEG and PNG are TensorFlow's to decode, other formats Pillow's. Grey and palette images become
    colour ones where `channels` is 3; transparency is left out, and so is what Exif says of how
    the camera was held; 16 bits become 8; an animation is its first picture.

    Args:
        encoded: A file's bytes, a string scalar.
        channels: 3 or 1.
        choose: Function of height and width (int32 scalars) to the window: top, left, height and
            width, int32 of shape `(4,)`.

    Returns:
        uint8 of shape `(height, width, channels)`.
    """
    import tensorflow as tf

    def cropped():
        shape = tf.image.extract_jpeg_shape(encoded)
        return tf.image.decode_and_crop_jpeg(encoded, choose(shape[0], shape[1]), channels=channels)

    def whole():
        pixels = tf.cond(
            tf.strings.substr(encoded, 0, len(PNG)) == PNG,
            lambda: tf.io.decode_png(encoded, channels=channels),
            lambda: tf.ensure_shape(
                tf.numpy_function(
                    _decode_other,
                    [tf.io.decode_raw(encoded, tf.uint8), channels],
                    tf.uint8,
                    stateful=False,
                ),
                (None, None, channels),
            ),
        )
        shape = tf.shape(pixels)
        top, left, height, width = tf.unstack(choose(shape[0], shape[1]))
        return pixels[top : top + height, left : left + width]

    pixels = tf.cond(tf.io.is_jpeg(encoded), cropped, whole)
    return tf.ensure_shape(pixels, (None, None, channels))


def decode(encoded: bytes, channels: int) -> np.ndarray:
    """Decodes a whole image as `decode_window` does.

    Raises:
        OSError: Where it cannot be decoded.
    """
    import tensorflow as tf

    def whole(height, width):
        return tf.stack([0, 0, height, width])

    try:
        with tf.device("CPU:0"):
            return decode_window(tf.constant(encoded), channels, whole).numpy()
    except Exception as error:  # TensorFlow's, or one of Pillow's.
        raise OSError(undecodable(encoded)) from error


def undecodable(encoded: bytes) -> str:
    """Returns why an image could not be decoded, in one line."""
    from PIL import Image

    if not encoded:
        return "the file is empty"
    try:
        with Image.open(io.BytesIO(encoded)) as image:
            image.load()
    except Exception as error:  # Pillow raises OSError, SyntaxError, ValueError and its own.
        if isinstance(error, Image.UnidentifiedImageError):
            return "the file is no image of a known format"
        return " ".join(str(error).split()) or type(error).__name__
    return "the file cannot be decoded"


def _decode_other(encoded: np.ndarray, channels: int) -> np.ndarray:
    from PIL import Image

    with Image.open(io.BytesIO(encoded.tobytes())) as image:
        pixels = np.asarray(image.convert("L" if channels == 1 else "RGB"))
    return pixels.reshape(*pixels.shape[:2], channels)
