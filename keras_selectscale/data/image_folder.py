"""Datasets that are folders of images, with one folder per class."""

from __future__ import annotations

import concurrent.futures
import os
import pathlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from keras_selectscale.data.arrays import aligned_empty, fits_in_memory, mapped, options
from keras_selectscale.data.dataset import Request, Source
from keras_selectscale.data.decoding import (
    START,
    decode,
    decode_whole,
    read_header,
)
from keras_selectscale.data.encoded_images import ImageFiles
from keras_selectscale.data.image_data import ImageData, in_memory
from keras_selectscale.data.streamed_images import DEFAULT_SIZE, StreamedImages, streamed
from keras_selectscale.environment import require
from keras_selectscale.object_checks import as_path

ENDINGS = (".bmp", ".gif", ".jpeg", ".jpg", ".png")
DATASET = "Argument `dataset`"
TEST_FOLDERS = ("test", "val", "validation")
# Up to this many streamed images are decoded once before training: it takes some seconds. In a
# larger folder, a damaged image with an intact header is found when it is used.
DECODED_UP_FRONT = 2000
# Files whose headers are read by one task, and threads if the files must be waited for.
HEADERS, THREADS = 256, 8
# A task has waited for files if it took this many times its CPU time.
WAITED = 3
# Most images, and bytes of images, that are decoded into one batch, and images that one call of a
# function decodes if there are many: building the function takes longer than decoding a few.
BATCH, BATCH_BYTES, PART, MANY = 256, 2**22, 4, 2048


def load_folder(request: Request) -> ImageData | StreamedImages:
    """Reads the images of a folder, or indexes them if they are too many or of varying size.

    `PATH/train/CLASS/FILE` are the training images and `PATH/test/CLASS/FILE` the test images; the
    second folder may also be called `val` or `validation`, and the first of the three that exists
    is used. The classes are the names of their folders, sorted, and both parts have the same.
    Images are the files that end in .png, .jpg, .jpeg, .bmp or .gif, in lower or upper case, sorted
    by name. Other files are ignored, and so are files and folders whose names start with a dot.

    Images have 3 channels, including grey and palette images, and lose their transparency. If all
    images of both parts are grey, they have 1 channel.

    The header of every file is read first. Images of one size that fit in memory are then decoded,
    and so are up to 2,000 streamed images, to check them.

    Args:
        request: The request; `request.place` is the folder, in which `~` is the home folder.

    Raises:
        FileNotFoundError: If the folder or one of its parts does not exist.
        OSError: If a file cannot be read or decoded, with its name.
        ValueError: If there are fewer than two classes, a class has no image, or the classes of the
            parts differ.
    """
    name, image_size = request.name, request.image_size
    folder = as_path("dataset", request.place)
    homes = (_part(folder, ("train",)), _part(folder, TEST_FOLDERS))
    classes = _classes(homes, name)
    train, test = (_files(home, classes, name) for home in homes)
    count = len(train) + len(test)
    sizes, grey = _survey([train, test])
    channels = 1 if grey else 3
    if len(sizes) == 1:
        ((height, width),) = sizes
        shape = height, width, channels
        if fits_in_memory(count, shape, image_size):
            training, testing = ((_decoded(files, shape), files.labels) for files in (train, test))
            return in_memory(name, training, testing, len(classes), classes)
        image_size = image_size or min(height, width)
    if count <= DECODED_UP_FRONT:
        for files in (train, test):
            _check(files, channels)
    size = image_size or DEFAULT_SIZE
    return streamed(name, train, test, len(classes), size, channels, classes)


FOLDER = Source(
    "folder:PATH",
    "a folder of images, PATH/train/CLASS/FILE and PATH/test/CLASS/FILE",
    load_folder,
    accepts=lambda place: bool(place.strip()) and "\0" not in place,
    changes=True,
)


def _part(folder: pathlib.Path, names: Sequence[str]) -> pathlib.Path:
    """Returns the first of some subfolders that exists."""
    # Unlike the methods of paths, these also answer if a name is too long or a link leads nowhere.
    if not os.path.isdir(folder):
        if os.path.exists(folder):
            raise NotADirectoryError(f"{DATASET}: {folder} is not a folder of images, but a file")
        raise FileNotFoundError(f"{DATASET}: there is no folder {folder} of images")
    for name in names:
        if os.path.isdir(folder / name):
            return folder / name
    raise FileNotFoundError(f"{DATASET}: {folder} has no folder {' or '.join(names)} of images")


def _classes(homes: tuple[pathlib.Path, pathlib.Path], name: str) -> list[str]:
    """Returns the names of the classes, which both parts must have."""
    train, test = (
        sorted(entry.name for entry in home.iterdir() if entry.is_dir() and entry.name[0] != ".")
        for home in homes
    )
    for here, there, missing in (
        (homes[1], homes[0], set(train) - set(test)),
        (homes[0], homes[1], set(test) - set(train)),
    ):
        if missing:
            raise ValueError(
                f"Dataset {name} must have the same classes in both parts: {here} has no folder "
                f"{min(missing)}, which is in {there}"
            )
    if len(train) < 2:
        found = f"only the class {train[0]}" if train else "no folder of a class"
        raise ValueError(f"Dataset {name} must have at least 2 classes: {homes[0]} has {found}")
    return train


def _files(home: pathlib.Path, classes: Sequence[str], name: str) -> ImageFiles:
    """Returns the image files of one part, sorted by class and name."""
    paths: list[str] = []
    counts = []
    for each in classes:
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
        start = f"{home / each}{os.sep}"
        paths += [start + file for file in found]
        counts.append(len(found))
    return ImageFiles(paths, np.repeat(np.arange(len(classes), dtype=np.int64), counts))


def _survey(splits: Iterable[ImageFiles]) -> tuple[set[tuple[int, int]], bool]:
    """Reads all headers and returns the sizes, and whether all images are grey.

    Threads are used from the first task on that has waited for its files: if a file is at hand,
    threads wait for each other, and take four times as much CPU time as one.
    """

    def survey(paths: Sequence[str]) -> tuple[set[tuple[int, int]], bool]:
        headers = [read_header(path) for path in paths]
        sizes = {(header.height, header.width) for header in headers}
        return sizes, all(header.grey for header in headers)

    # One task per file would take 1.9 kB of memory per file.
    tasks = iter(
        [
            files.paths[start : start + HEADERS]
            for files in splits
            for start in range(0, len(files), HEADERS)
        ]
    )
    sizes: set[tuple[int, int]] = set()
    grey = True

    def add(found: tuple[set[tuple[int, int]], bool]) -> None:
        nonlocal grey
        sizes.update(found[0])
        grey &= found[1]

    for task in tasks:
        wall, cpu = time.perf_counter(), time.thread_time()
        add(survey(task))
        if time.perf_counter() - wall > WAITED * (time.thread_time() - cpu):
            break
    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        try:
            for found in pool.map(survey, tasks):
                add(found)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return sizes, grey


def _decoded(files: ImageFiles, shape: tuple[int, int, int]) -> np.ndarray:
    """Returns the pixels of images of one size."""
    import tensorflow as tf

    pixels = aligned_empty((len(files), *shape))
    batch = max(1, min(BATCH, BATCH_BYTES // pixels[0].nbytes))
    start = 0
    for some in _mapped(files, shape[-1], batch, lambda image: tf.ensure_shape(image, shape)):
        pixels[start : start + len(some)] = some
        start += len(some)
    return pixels


def _check(files: ImageFiles, channels: int) -> None:
    """Decodes images and throws them away."""
    import tensorflow as tf

    for _ in _mapped(files, channels, 16, tf.size):
        pass


def _mapped(
    files: ImageFiles, channels: int, batch: int, function: Callable[[Any], Any]
) -> Iterator[np.ndarray]:
    """Yields batches of a function of the decoded images, in order.

    Raises:
        OSError: If an image cannot be read or decoded, with its name.
    """
    require("tensorflow", "tensorflow", "Decoding a folder of images")
    import tensorflow as tf

    read, count = files.reader(), len(files)
    part = min(PART, batch) if count >= MANY else 1

    def decoded(start):
        # The last image fills the places that are left.
        numbers = tf.minimum(start + tf.range(part, dtype=tf.int64), count - 1)
        images = decode_whole(read(numbers)[0], channels)
        return tf.stack([function(image) for image in images])

    parts = (
        mapped(tf.data.Dataset.range(0, count, part), decoded)
        .batch(batch // part)
        .prefetch(1)
        .with_options(options())
    )
    done = 0
    try:
        for found in parts.as_numpy_iterator():
            some = found.reshape(-1, *found.shape[2:])[: count - done]
            yield some
            done += len(some)
    except tf.errors.OpError as error:
        raise _unusable(files, channels, done) from error


def _unusable(files: ImageFiles, channels: int, start: int) -> OSError:
    """Returns the error about the first image from `start` on that cannot be decoded."""
    for path in files.paths[start:]:
        try:
            decode(pathlib.Path(path).read_bytes(), channels)
        except OSError as error:
            return OSError(f"{START}{path}: {error.strerror or error}")
    return OSError(f"{START}{files.paths[start]}, or one after it: it changed while it was read")
