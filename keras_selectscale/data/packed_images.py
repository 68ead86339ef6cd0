"""Datasets as a few NumPy files, for machines without TensorFlow and TensorFlow Datasets."""

import contextlib
import dataclasses
import os
import pathlib
import re
from typing import Any

import numpy as np

from keras_selectscale.argument_names import named_arguments
from keras_selectscale.array_files import read_arrays
from keras_selectscale.checks import ArgumentValueError, type_error
from keras_selectscale.data.arrays import aligned_empty
from keras_selectscale.data.augmentation import Augmentation
from keras_selectscale.data.dataset import Dataset, Request, Source
from keras_selectscale.data.image_data import ImageData, in_memory
from keras_selectscale.data.prepared_folder import data_folder
from keras_selectscale.files import DamagedFileError, disk_errors, replacing
from keras_selectscale.object_checks import as_file_name
from keras_selectscale.regular_files import check_regular

# Bytes of the images of a file before they are compressed.
LARGEST_PART = 55_000_000
ARRAYS = ("train_images", "train_labels", "test_images", "test_labels")
# The kinds of dtypes and the rank of what `pack` writes.
KINDS = {
    **{key: ("u", 4) if key.endswith("images") else ("i", 1) for key in ARRAYS},
    **{"parts": ("iu", 0), "classes": ("iu", 0), "name": ("U", 1)},
    **{"mean": ("f", 1), "std": ("f", 1), "padding": ("iu", 1), "flip": ("b", 1)},
    "class_names": ("U", 1),
}
# Stored with the first part; older versions neither write nor read them.
FURTHER = ("name", "mean", "std", "padding", "flip")
NAME = r"\w[\w.-]*"


@named_arguments
def pack(
    data: Dataset, data_dir: str | os.PathLike[str] | None = None, *, name: str | None = None
) -> list[pathlib.Path]:
    """Writes a dataset in memory as NumPy files, which `load` reads without TensorFlow.

    The files are `packed/NAME/part-….npz` under `data_dir`. They are compressed, and none is larger
    than 55 MB, so that they can be copied one by one. `load("packed:NAME")` reads them, and so does
    `load` with the dataset's own name: it prefers them to what TensorFlow Datasets prepared, and
    uses them for `folder:PATH` if the folder does not exist.

    Args:
        data: Dataset in memory with a test split, of uint8 images, as `load` returns it.
        data_dir: Folder of the prepared TensorFlow Datasets, as `load` takes it.
        name: `NAME`; `None` derives it from the dataset's name, such as `cifar10` or
            `folder-images` for `folder:images`.

    Returns:
        The files.

    Raises:
        FileExistsError: If `packed/NAME` exists.
        OSError: If a file cannot be written; nothing is left half-written.
        TypeError: If `data` is not in memory, not uint8, or has no test split.
        ValueError: If `name` cannot become a folder.
    """
    if not isinstance(data, ImageData) or any(
        data.arrays(split)[0].dtype != np.uint8 for split in data.splits
    ):
        raise type_error("data", "a dataset of uint8 images in memory, with a test split", data)
    folder = packed_folder(data.name if name is None else as_file_name("name", name), data_dir)
    if folder.exists():
        raise FileExistsError(f"{folder} exists: remove it to pack the dataset again")
    parts = []
    for split in data.splits:
        images, labels = data.arrays(split)
        count = max(1, -(-images.nbytes // LARGEST_PART))
        for some, theirs in zip(
            np.array_split(images, count), np.array_split(labels, count), strict=True
        ):
            parts.append({f"{split}_images": some, f"{split}_labels": theirs})
    parts[0] |= {
        "name": np.array([data.name]),
        "mean": np.array(data.mean),
        "std": np.array(data.std),
        "padding": np.array([data.augmentation.padding]),
        "flip": np.array([data.augmentation.flip]),
    }
    if data.class_names:
        parts[0]["class_names"] = np.array(data.class_names)
    with disk_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
    with replacing(folder, "part-*.npz") as beside:
        beside.mkdir()
        for number, part in enumerate(parts):
            arrays: dict[str, Any] = {"classes": data.classes, "parts": len(parts), **part}
            np.savez_compressed(beside / f"part-{number:03d}.npz", **arrays)
    return sorted(folder.iterdir())


def packed_folder(name: str, data_dir: str | os.PathLike[str] | None) -> pathlib.Path:
    """Returns the folder of a packed dataset, which need not exist.

    Raises:
        ValueError: If `name` cannot become a folder.
    """
    plain = re.sub(r"[^\w.-]+", "-", name.removeprefix("tfds:"))
    return data_folder(data_dir) / "packed" / as_file_name("name", plain)


def find_packed(name: str, data_dir: str | os.PathLike[str] | None) -> pathlib.Path | None:
    """Returns the folder of a packed dataset, or `None` if it does not exist."""
    try:
        folder = packed_folder(name, data_dir)
    except ArgumentValueError as error:
        if error.argument != "name":
            raise
        return None  # The name is too long for a folder.
    files = sorted(folder.glob("part-*.npz"))
    if not files:
        return None
    with contextlib.suppress(Exception):  # Reading the dataset reports what is wrong.
        check_regular(files[0])
        with np.load(files[0], allow_pickle=False) as part:
            # Two names may become one folder, such as `folder:a/b` and `folder:a-b`.
            if "name" in part and part["name"][0] not in (name, name.removeprefix("tfds:")):
                return None
    return folder


def read_packed(folder: pathlib.Path, name: str) -> ImageData:
    """Reads a packed dataset.

    Args:
        folder: Its folder.
        name: Name of the dataset, which `load` received.

    Raises:
        OSError: If a file is missing or damaged, with the file and what to do.
    """
    again = "remove the folder and pack the dataset again"
    found: dict[str, list[np.ndarray]] = {}
    files = sorted(folder.glob("part-*.npz"))
    for file in files:
        try:
            for key, array in read_arrays(file).items():
                found.setdefault(key, []).append(_checked(key, array))
        except DamagedFileError as error:
            raise OSError(f"{error}: {again}") from None
        except ValueError as error:
            raise OSError(f"{file} is damaged: {error}: {again}") from None
    try:
        for key in ("parts", "classes"):
            if key not in found:
                raise ValueError(f"{key} is missing")
        parts, classes = (int(found[key][0]) for key in ("parts", "classes"))
        if len(files) != parts:
            raise ValueError(f"it holds {len(files)} of the {parts} parts of {name}")
        arrays = [_joined(key, found) for key in ARRAYS]
        names = [each for array in found.get("class_names", []) for each in array.tolist()]
        data = in_memory(name, (arrays[0], arrays[1]), (arrays[2], arrays[3]), classes, names)
        if all(key in found for key in FURTHER):
            data = _as_packed(data, found)
    except (ValueError, TypeError, IndexError) as error:
        raise OSError(f"{folder} is not a complete packed dataset ({error}): {again}") from None
    return data


def load_packed(request: Request) -> ImageData:
    """Reads the packed dataset `packed:NAME`.

    Raises:
        FileNotFoundError: If it does not exist.
        OSError: If a file is missing or damaged.
    """
    folder = packed_folder(request.place, request.data_dir)
    if not any(folder.glob("part-*.npz")):
        raise FileNotFoundError(
            f"There is no packed dataset {folder}: `data.pack` writes one, and `data_dir` is the "
            "folder that holds the folder `packed`"
        )
    return read_packed(folder, request.name)


PACKED = Source(
    "packed:NAME",
    "a dataset that `data.pack` wrote, to be read without TensorFlow",
    load_packed,
    accepts=lambda place: re.fullmatch(NAME, place) is not None,
)


def _checked(key: str, array: np.ndarray) -> np.ndarray:
    """Returns an array of a file if its dtype and rank are those that `pack` writes.

    Raises:
        ValueError: If they are not.
    """
    kinds, rank = KINDS.get(key, ("", None))
    if kinds and (array.dtype.kind not in kinds or array.ndim != rank or 0 in array.shape[1:]):
        raise ValueError(f"{key} is an array of {array.dtype} of shape {array.shape}")
    if key in FURTHER and array.size == 0:
        raise ValueError(f"{key} is empty")
    return array


def _joined(key: str, found: dict[str, list[np.ndarray]]) -> np.ndarray:
    """Returns the parts of an array as one, and drops them."""
    if key not in found:
        raise ValueError(f"{key} is missing")
    parts = found.pop(key)
    images = key.endswith("images")
    dtype = np.dtype(np.uint8 if images else np.int64)
    shapes = {part.shape[1:] for part in parts}
    fits = all(part.dtype == dtype and part.ndim == (4 if images else 1) for part in parts)
    joined_shape = (sum(map(len, parts)), *parts[0].shape[1:]) if fits else ()
    if not fits or len(shapes) > 1 or 0 in joined_shape:
        received = ", ".join(f"{part.dtype} of shape {part.shape}" for part in parts[:3])
        raise ValueError(f"{key} is not an array of {dtype} images or labels: {received}")
    return np.concatenate(parts, out=aligned_empty(joined_shape, dtype))


def _as_packed(data: ImageData, found: dict[str, list[np.ndarray]]) -> ImageData:
    """Returns the dataset with the normalization and augmentation with which it was packed."""
    mean, std, padding, flip = (found[key][0].tolist() for key in FURTHER[1:])
    return dataclasses.replace(
        data, mean=tuple(mean), std=tuple(std), augmentation=Augmentation(padding[0], flip[0])
    )
