"""A dataset of images in folders, a class a folder."""

import concurrent.futures
import os
import pathlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from keras_selectscale.data.decoding import decode, undecodable
from keras_selectscale.data.image_data import ImageData
from keras_selectscale.data.image_errors import START
from keras_selectscale.data.image_files import ImageFiles
from keras_selectscale.data.in_memory import fits_in_memory, in_memory
from keras_selectscale.data.streamed_images import DEFAULT_SIZE, StreamedImages, streamed

ENDINGS = (".bmp", ".gif", ".jpeg", ".jpg", ".png")
TEST_FOLDERS = ("test", "val", "validation")
# Up to so many streamed images are decoded once before anything starts: some seconds. Of more, a
# broken one whose header is whole is found when its turn comes.
DECODED_UP_FRONT = 2000
# Pillow's names of the kinds of images that have no colour.
GREY_MODES = {"1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "F"}
THREADS = 16


def load_folder(
    path: str | os.PathLike[str], *, name: str, image_size: int | None = None
) -> ImageData | StreamedImages:
    """Reads the images of a folder, or finds them where they are too many or of varying size.

    `PATH/train/CLASS/FILE` are the training images, `PATH/test/CLASS/FILE` those to evaluate with
    (or `val`, or `validation`: the first of the three that is there). The classes are the names of
    the folders, numbered in their order, and both parts have the same. Images are the files that
    end in .png, .jpg, .jpeg, .bmp or .gif, small or capital, in the order of their names; other
    files, and all files and folders whose names start with a dot, are passed over.

    Images become ones of 3 channels, grey and palette ones too and without their transparency,
    unless every image of both parts is grey: then they have 1 channel.

    The header of every file is read at once (some 0.1 ms a file). Images of one size that fit in
    memory are decoded; so are, to see that they can be, up to 2,000 others.

    Args:
        path: The folder; `~` is the home folder.
        name: Name of the dataset.
        image_size: As `load` takes it. Images in memory are not brought to it here.

    Raises:
        FileNotFoundError: Where the folder, or a part of it, is not there.
        OSError: Where a file cannot be read or decoded, naming it.
        ValueError: Where there are fewer than two classes, a class has no image, or the classes of
            the parts differ.
    """
    folder = pathlib.Path(path).expanduser()
    homes = (_part(folder, ("train",)), _part(folder, TEST_FOLDERS))
    classes = _classes(homes, name)
    train, test = splits = [_files(home, classes, name) for home in homes]
    paths = [path for split in splits for path in split.paths]
    headers = _in_threads(_header, paths)
    channels = 1 if all(header.grey for header in headers) else 3
    sizes = {(header.height, header.width) for header in headers}
    if len(sizes) == 1:
        ((height, width),) = sizes
        if fits_in_memory(len(paths), (height, width, channels), image_size):
            pixels = np.empty((len(paths), height, width, channels), np.uint8)

            def fill(number: int) -> None:
                pixels[number] = _decoded(paths[number], channels)

            _in_threads(fill, range(len(paths)))
            halves = pixels[: len(train)], pixels[len(train) :]
            return in_memory(
                name, (halves[0], train.labels), (halves[1], test.labels), len(classes)
            )
        image_size = image_size or min(height, width)
    if len(paths) <= DECODED_UP_FRONT:
        _in_threads(lambda path: _decoded(path, channels).shape, paths)
    return streamed(name, train, test, len(classes), image_size or DEFAULT_SIZE, channels)


class _Header(NamedTuple):
    height: int
    width: int
    grey: bool


def _part(folder: pathlib.Path, names: Sequence[str]) -> pathlib.Path:
    """Returns the first of some folders in another that is there."""
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no folder {folder} of images")
    for name in names:
        if (folder / name).is_dir():
            return folder / name
    raise FileNotFoundError(f"{folder} has no folder {' or '.join(names)} of images")


def _classes(homes: tuple[pathlib.Path, pathlib.Path], name: str) -> list[str]:
    """Returns the names of the classes, which both parts must have."""
    train, test = (
        sorted(entry.name for entry in home.iterdir() if entry.is_dir() and entry.name[0] != ".")
        for home in homes
    )
    for here, there, lacking in (
        (homes[1], homes[0], set(train) - set(test)),
        (homes[0], homes[1], set(test) - set(train)),
    ):
        if lacking:
            raise ValueError(
                f"Dataset {name} must have the same classes in both parts: {here} has no folder "
                f"{min(lacking)}, which is in {there}"
            )
    if len(train) < 2:
        found = f"only the class {train[0]}" if train else "no folder of a class"
        raise ValueError(f"Dataset {name} must have at least 2 classes: {homes[0]} has {found}")
    return train


def _files(home: pathlib.Path, classes: Sequence[str], name: str) -> ImageFiles:
    paths: list[str] = []
    labels: list[int] = []
    for label, each in enumerate(classes):
        found = sorted(
            entry.name
            for entry in os.scandir(home / each)
            if entry.name[0] != "." and entry.name.lower().endswith(ENDINGS) and entry.is_file()
        )
        if not found:
            raise ValueError(
                f"Dataset {name} must have images of every class: {home / each} has no file that "
                f"ends in {', '.join(ENDINGS)}"
            )
        paths += [str(home / each / file) for file in found]
        labels += [label] * len(found)
    return ImageFiles(paths, np.array(labels, np.int64))


def _header(path: str) -> _Header:
    from PIL import Image

    try:
        with Image.open(path) as image:
            return _Header(image.height, image.width, image.mode in GREY_MODES)
    except Exception as error:  # Pillow raises OSError, SyntaxError, ValueError and its own.
        raise OSError(f"{START}{path}: {_reason(path, error)}") from error


def _decoded(path: str, channels: int) -> np.ndarray:
    try:
        return decode(pathlib.Path(path).read_bytes(), channels)
    except OSError as error:
        raise OSError(f"{START}{path}: {error}") from error


def _reason(path: str, error: Exception) -> str:
    """Returns why a header cannot be read, from the whole file where there is one."""
    try:
        return undecodable(pathlib.Path(path).read_bytes())
    except OSError:
        return str(error)


def _in_threads(function: Callable[[Any], Any], values: Sequence[Any]) -> list[Any]:
    """Calls a function for each of some values, several at a time; the first error stands."""
    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        try:
            return list(pool.map(function, values))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
