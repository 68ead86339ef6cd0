"""Decoding of images, their headers, and errors that name an image that cannot be used."""

from __future__ import annotations

import contextlib
import functools
import io
import re
import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from keras_selectscale.environment import require

# Pillow would also open formats that run other programs.
FORMATS = ("BMP", "GIF", "JPEG", "PNG")
# Above it, Pillow warns of a decompression bomb.
MOST_PIXELS = 89_478_485
JPEG, PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
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


def decode_windows(
    images: Sequence[Any], channels: int, choose: Callable[[Any, Any], Any], flips: Any = None
) -> list[Any]:
    """Decodes a window of each of some images; of a JPEG, only the window is decoded.

    TensorFlow decodes JPEG and PNG, and Pillow decodes BMP and GIF. If `channels` is 3, grey and
    palette images become colour images. Transparency and the orientation in Exif are ignored,
    16 bits become 8, and only the first image of an animation is used.

    Args:
        images: Bytes of the files, string scalars.
        channels: 3 or 1.
        choose: Function of heights and widths (int32 of shape `(images,)`) to the windows: top,
            left, height and width, int32 of shape `(images, 4)`.
        flips: Whether to mirror a window left to right, bool of shape `(images,)`.

    Returns:
        For each image, uint8 of shape `(height, width, channels)`.
    """
    import tensorflow as tf

    def whole(encoded):
        (pixels,) = decode_whole([encoded], channels)
        return pixels, tf.shape(pixels)

    def header(encoded):
        return tf.zeros((0, 0, channels), tf.uint8), tf.image.extract_jpeg_shape(encoded)

    def part(pixels, window):
        top, left, height, width = tf.unstack(window)
        return pixels[top : top + height, left : left + width]

    still = flips is None
    string = tf.TensorSpec((), tf.string)

    # Functions, because tracing these for every image would take seconds.
    @functools.partial(tf.function, input_signature=[string], autograph=False)
    def opened(encoded):
        return tf.cond(tf.io.is_jpeg(encoded), lambda: header(encoded), lambda: whole(encoded))

    uint8 = tf.TensorSpec((None, None, channels), tf.uint8)
    signature = [string, uint8, tf.TensorSpec((4,), tf.int32), tf.TensorSpec((3,), tf.bool)]

    @functools.partial(tf.function, input_signature=signature, autograph=False)
    def cropped(encoded, pixels, window, axes):
        window = tf.cond(
            tf.io.is_jpeg(encoded),
            lambda: tf.image.decode_and_crop_jpeg(encoded, window, channels=channels),
            lambda: part(pixels, window),
        )
        # It takes a bool for each axis, and so needs no branch.
        return window if still else tf.raw_ops.Reverse(tensor=window, dims=axes)

    found = [opened(encoded) for encoded in images]
    shapes = tf.stack([shape for _, shape in found])
    windows = tf.unstack(choose(shapes[:, 0], shapes[:, 1]), len(images))
    flips = tf.zeros(len(images), tf.bool) if still else flips
    axes = tf.unstack(flips[:, None] & tf.constant([False, True, False]), len(images))
    results = [
        cropped(encoded, pixels, *chosen)
        for encoded, (pixels, _), *chosen in zip(images, found, windows, axes, strict=True)
    ]
    return [tf.ensure_shape(pixels, (None, None, channels)) for pixels in results]


def decode_whole(images: Sequence[Any], channels: int) -> list[Any]:
    """Decodes whole images as `decode_windows` does, with fewer operations for each.

    Args:
        images: Bytes of the files, string scalars.
        channels: 3 or 1.

    Returns:
        For each image, uint8 of shape `(height, width, channels)`.
    """
    import tensorflow as tf

    plain = functools.partial(tf.io.decode_jpeg, channels=channels)  # It also decodes PNG.
    if len(images) == 1:
        other = functools.partial(_by_pillow, images[0], channels)
        return [tf.cond(_are_plain(images[0]), lambda: plain(images[0]), other)]
    string = tf.TensorSpec((), tf.string)

    @functools.partial(tf.function, input_signature=[string], autograph=False)
    def decoded(encoded):
        return decode_whole([encoded], channels)[0]

    # A branch for each image would take half as long as decoding it.
    return tf.cond(
        tf.reduce_all(_are_plain(tf.stack(images))),
        lambda: [plain(encoded) for encoded in images],
        lambda: [decoded(encoded) for encoded in images],
    )


def _are_plain(encoded: Any) -> Any:
    import tensorflow as tf

    is_jpeg = tf.strings.substr(encoded, 0, len(JPEG)) == JPEG
    return is_jpeg | (tf.strings.substr(encoded, 0, len(PNG)) == PNG)


def _by_pillow(encoded: Any, channels: int) -> Any:
    import tensorflow as tf

    pixels = tf.numpy_function(
        _decode_other, [tf.io.decode_raw(encoded, tf.uint8), channels], tf.uint8, stateful=False
    )
    return tf.ensure_shape(pixels, (None, None, channels))


def decode(encoded: bytes, channels: int) -> np.ndarray:
    """Decodes a whole image as `decode_whole` does.

    Raises:
        OSError: If it cannot be decoded.
    """
    import tensorflow as tf

    try:
        with tf.device("CPU:0"):
            (pixels,) = decode_whole([tf.constant(encoded)], channels)
            return pixels.numpy()
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
