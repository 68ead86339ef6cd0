"""Folders of images, written for a test."""

import io
import pathlib

import numpy as np
from PIL import Image


def picture(number: int, height: int, width: int, channels: int = 3) -> np.ndarray:
    """Returns a smooth picture, another for each number, uint8."""
    rng = np.random.default_rng(number)
    coarse = rng.integers(0, 256, (4, 4, channels), dtype=np.uint8)
    planes = [
        np.asarray(Image.fromarray(coarse[..., plane]).resize((width, height), Image.BILINEAR))
        for plane in range(channels)
    ]
    return np.stack(planes, axis=-1)


def encode(pixels: np.ndarray, form: str = "PNG", **options: object) -> bytes:
    """Returns a file's bytes of uint8 pixels of 1, 3 or 4 channels."""
    stream = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(
        stream, form, **options
    )
    return stream.getvalue()


def write(path: pathlib.Path, content: bytes) -> pathlib.Path:
    """Writes a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def make(
    folder: pathlib.Path,
    sizes: tuple[tuple[int, int], ...] = ((12, 16),),
    form: str = "PNG",
    train: int = 5,
    test: int = 3,
    channels: int = 3,
) -> pathlib.Path:
    """Writes classes "a" and "b" of so many images each in both parts, of the sizes in turn."""
    number = 0
    for part, count in (("train", train), ("test", test)):
        for label in ("a", "b"):
            for index in range(count):
                pixels = picture(number, *sizes[number % len(sizes)], channels)
                name = f"{index:03d}.{form.lower()}"
                write(folder / part / label / name, encode(pixels, form))
                number += 1
    return folder
