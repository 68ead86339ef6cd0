"""Decoding of images, their headers, and errors that name an image that cannot be used."""

from __future__ import annotations

import contextlib
import io
import re
import struct
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from keras_selectscale.environment import require

if TYPE_CHECKING:
    from keras_selectscale.data.encoded_images import EncodedImages

# Pillow would also open formats that run other programs.
FORMATS = ("BMP", "GIF", "JPEG", "PNG")
# Above it, Pillow warns of a decompression bomb.
MOST_PIXELS = 89_478_485
PNG = b"\x89PNG\r\n\x1a\n"
# Pillow's modes of images without colour.
GREY_MODES = {"1", "L", "LA", "I", "I;16", "I;16B", "I;16L"}
# Bit depths and colour types of PNG: without colour in Pillow's modes, and with colour.
GREY_PNG = {(1, 0), (2, 0), (4, 0), (8, 0), (16, 0), (8, 4)}
COLOUR_PNG = {(8, 2), (16, 2), (1, 3), (2, 3), (4, 3), (8, 3), (16, 4), (8, 6), (16, 6)}
# Markers of JPEG that stand alone, and the one that starts the pixels.
WITHOUT_LENGTH = range(0xD0, 0xDB)
# Bytes of a file that are read at a time to find the header of a JPEG.
HEADER_BYTES = 4096
START = "Cannot use the image "


class Header(NamedTuple):
    """Height, width, and whether an image has no colour."""

    height: int
    width: int
    grey: bool


def read_header(path: str) -> Header:
    """Reads the header of an image file.

    The headers of JPEG and PNG are read without Pillow, which takes 80 µs instead of 10.

    Raises:
        OSError: If the file cannot be read, has another format or too many pixels, in one line that
            names it.
    """
    try:
        with io.FileIO(path) as file:
            start = file.read(HEADER_BYTES) or b""
            header = _jpeg_header(file, start) if start[:2] == b"\xff\xd8" else _png_header(start)
        if header is None:
            header = _pillow_header(path, start)
    except OSError as error:
        raise OSError(f"{START}{path}: {error.strerror or error}") from None
    if header.height * header.width > MOST_PIXELS:
        raise OSError(f"{START}{path}: {_too_large(header.height, header.width)}")
    return header


def decode_window(encoded: Any, channels: int, choose: Callable[[Any, Any], Any]) -> Any:
    """Decodes a window of an image; of a JPEG, only the window is decoded.

    TensorFlow decodes JPEG and PNG, and Pillow decodes BMP and GIF. If `channels` is 3, grey and
    palette images become colour images. Transparency and the orientation in Exif are ignored,
    16 bits become 8, and only the first image of an animation is used.

    Args:
        encoded: Bytes of a file, a string scalar.
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
        OSError: If it cannot be decoded.
    """
    import tensorflow as tf

    def whole(height, width):
        return tf.stack([0, 0, height, width])

    try:
        with tf.device("CPU:0"):
            return decode_window(tf.constant(encoded), channels, whole).numpy()
    except Exception as error:  # An error of TensorFlow or of Pillow.
        raise OSError(undecodable(encoded)) from error


def undecodable(encoded: bytes | str) -> str:
    """Returns in one line why an image could not be decoded, from its bytes or its path."""
    require("PIL", "data", "Reading images")
    from PIL import Image

    if not encoded:
        return "the file is empty"
    try:
        source = encoded if isinstance(encoded, str) else io.BytesIO(encoded)
        with Image.open(source, formats=FORMATS) as image:
            image.load()
    except Exception as error:  # Pillow raises OSError, SyntaxError, ValueError and its own.
        if isinstance(error, Image.UnidentifiedImageError):
            return f"the file is not a {', '.join(FORMATS[:-1])} or {FORMATS[-1]} image"
        return " ".join(str(error).split()) or type(error).__name__
    return "the file cannot be decoded"


def explain(images: EncodedImages, number: int, classes: int, channels: int) -> str:
    """Returns in one line why an image of a split cannot be used.

    Args:
        images: The split.
        number: Number of the image.
        classes: Number of classes.
        channels: 3 or 1.
    """
    try:
        encoded, label = images.read(number)
        reason = f"its label is {label} and not from 0 to {classes - 1}"
        if 0 <= label < classes:
            decode(encoded, channels)
            reason = "it could not be read a moment ago"
    except Exception as error:  # Any error is the reason.
        reason = str(error) or type(error).__name__
    return " ".join(f"{START}{images.describe(number)}: {reason}".split("\n"))


@contextlib.contextmanager
def image_errors() -> Iterator[None]:
    """Turns TensorFlow's error about a streamed image into one line that names the file.

    An error within tf.data is a page long. Use this around `fit`, `evaluate` or a loop over
    batches:

        with image_errors():
            model.fit(training_batches(data, batch_size=256, seed=0), ...)

    Raises:
        OSError: If an image cannot be read or decoded, or its label is out of range.
    """
    try:
        yield
    except Exception as error:
        found = re.search(f"{START}.*", str(error))
        if found is None or isinstance(error, OSError):
            raise
        raise OSError(found.group()) from None


def _jpeg_header(file: io.FileIO, start: bytes) -> Header | None:
    """Returns the header of a JPEG, or `None` if it is unusual."""
    place, base, block = 2, 0, start
    while True:
        if place + 10 > base + len(block):
            file.seek(place)
            base, block = place, file.read(HEADER_BYTES) or b""
            if len(block) < 10:
                return None
        at = place - base
        marker, length = block[at + 1], (block[at + 2] << 8) | block[at + 3]
        if (
            block[at] != 0xFF
            or length < 2
            or not 0xC0 <= marker <= 0xFE
            or marker in WITHOUT_LENGTH
        ):
            return None
        if marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            bits, height, width, layers = struct.unpack_from(">BHHB", block, at + 4)
            if bits != 8 or not height or not width or layers not in (1, 3, 4):
                return None
            return Header(height, width, layers == 1)
        place += 2 + length


def _png_header(start: bytes) -> Header | None:
    """Returns the header of a PNG, or `None` if it is unusual or another format."""
    if start[:8] != PNG or start[12:16] != b"IHDR" or len(start) < 29:
        return None
    width, height, *kind = struct.unpack_from(">IIBB", start, 16)
    if not width or not height or tuple(kind) not in GREY_PNG | COLOUR_PNG:
        return None
    return Header(height, width, tuple(kind) in GREY_PNG)


def _pillow_header(path: str, start: bytes) -> Header:
    require("PIL", "data", "Reading images")
    from PIL import Image

    # Pillow would warn of it in several lines.
    if start[:3] == b"GIF" and len(start) >= 10:
        width, height = struct.unpack_from("<HH", start, 6)
    elif start[:2] == b"BM" and len(start) >= 26:
        width, height = map(abs, struct.unpack_from("<ii", start, 18))
    else:
        width = height = 0
    if height * width > MOST_PIXELS:
        raise OSError(_too_large(height, width))
    try:
        with Image.open(path, formats=FORMATS) as image:
            return Header(image.height, image.width, image.mode in GREY_MODES)
    except Exception:  # Pillow raises OSError, SyntaxError, ValueError and its own.
        raise OSError(undecodable(path if start else b"")) from None


def _too_large(height: int, width: int) -> str:
    return (
        f"it has {height:,} x {width:,} pixels, more than the {MOST_PIXELS:,} that are allowed; "
        "make it smaller or remove it"
    )


def _decode_other(encoded: np.ndarray, channels: int) -> np.ndarray:
    from PIL import Image

    with Image.open(io.BytesIO(encoded.tobytes()), formats=FORMATS) as image:
        pixels = np.asarray(image.convert("L" if channels == 1 else "RGB"))
    return pixels.reshape(*pixels.shape[:2], channels)
