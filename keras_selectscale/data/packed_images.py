"""Datasets as a few NumPy files, for machines without TensorFlow and its datasets."""

import os
import pathlib
import re
import zipfile
from typing import Any

import numpy as np

from keras_selectscale.data.image_data import ImageData
from keras_selectscale.data.in_memory import in_memory
from keras_selectscale.data.prepared_folder import data_folder

# Bytes of the images of a part before they are compressed.
LARGEST_PART = 55_000_000


def packed_folder(name: str, data_dir: str | os.PathLike[str] | None) -> pathlib.Path:
    """Returns where the packed dataset of a name stands, or would stand."""
    plain = re.sub(r"[^\w.-]+", "-", name)
    return data_folder(data_dir) / "packed" / plain


def pack(data: ImageData, data_dir: str | os.PathLike[str] | None = None) -> list[pathlib.Path]:
    """Writes a dataset in memory as NumPy files, from which `load` reads it without TensorFlow.

    `load` prefers them to what TensorFlow Datasets prepared. They are compressed, and none is
    larger than 55 MB, so that they can be carried one by one.

    Args:
        data: Images in memory, as `load` gives them; uint8.
        data_dir: Folder of the prepared TensorFlow Datasets, as `load` takes it. They come into
            `packed/NAME` in it.

    Returns:
        The files.

    Raises:
        FileExistsError: Where the dataset is packed there already.
        OSError: Where a file cannot be written.
        TypeError: Where `data` is not in memory, or not uint8.
    """
    if not isinstance(data, ImageData) or data.train_images.dtype != np.uint8:
        raise TypeError(
            "Argument `data` must be a dataset of uint8 images in memory. "
            f"Received: data={type(data).__name__}"
        )
    folder = packed_folder(data.name.removeprefix("tfds:"), data_dir)
    if folder.exists():
        raise FileExistsError(f"{folder} exists: remove it to pack the dataset again")
    parts = []
    for split in ("train", "test"):
        images, labels = getattr(data, f"{split}_images"), getattr(data, f"{split}_labels")
        count = max(1, -(-images.nbytes // LARGEST_PART))
        for some, theirs in zip(
            np.array_split(images, count), np.array_split(labels, count), strict=True
        ):
            parts.append({f"{split}_images": some, f"{split}_labels": theirs})
    beside = folder.with_name(f".{folder.name}.part")
    beside.mkdir(parents=True, exist_ok=True)
    for number, part in enumerate(parts):
        arrays: dict[str, Any] = {"classes": data.classes, "parts": len(parts), **part}
        np.savez_compressed(beside / f"part-{number:03d}.npz", **arrays)
    os.replace(beside, folder)
    return sorted(folder.iterdir())


def load_packed(
    name: str, data_dir: str | os.PathLike[str] | None, *, dataset: str
) -> ImageData | None:
    """Reads a packed dataset, or returns `None` where there is none.

    Args:
        name: Name of a TensorFlow Datasets builder, as `load_prepared` takes it.
        data_dir: As `pack` takes it.
        dataset: Name that `load` was given.

    Raises:
        OSError: Where a file is missing or cannot be read.
        ValueError: Where they do not hold a dataset.
    """
    folder = packed_folder(name, data_dir)
    files = sorted(folder.glob("part-*.npz")) if folder.is_dir() else []
    if not files:
        return None
    found: dict[str, list[np.ndarray]] = {}
    for file in files:
        try:
            with np.load(file, allow_pickle=False) as part:
                for key in part.files:
                    found.setdefault(key, []).append(part[key])
        except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise OSError(f"{file} cannot be read ({error}): pack the dataset again") from None
    try:
        wanted, classes = int(found.pop("parts")[0]), int(found.pop("classes")[0])
        arrays = {key: np.concatenate(found[key]) for key in sorted(found)}
        train = arrays["train_images"], arrays["train_labels"]
        test = arrays["test_images"], arrays["test_labels"]
    except (KeyError, ValueError) as error:
        raise OSError(f"{folder} holds no packed dataset ({error})") from None
    if len(files) != wanted:
        raise OSError(f"{folder} holds {len(files)} of the {wanted} parts of {dataset}")
    return in_memory(dataset, train, test, classes)
