"""Encoded images on the disk, each read by its number: files, and records of TFRecord files."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import functools
import os
import pathlib
import struct
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from keras_selectscale.data.arrays import host_tensors
from keras_selectscale.data.decoding import START, decode

# A record is its length (8 bytes), a checksum of that (4), the content and a checksum of it (4).
BEFORE, AFTER = 12, 4
# Files indexed at a time: most of the time is spent waiting for the disk.
THREADS = 16

Reader = Callable[[Any], tuple[list[Any], Any]]


class EncodedImages(Protocol):
    """The images of one split as they are on the disk, each read by its number."""

    def __len__(self) -> int:
        """Returns the number of images."""

    @property
    def labels(self) -> np.ndarray:
        """Labels as they are on the disk, int64 of shape `(images,)`."""

    def subset(self, chosen: np.ndarray) -> EncodedImages:
        """Returns some of the images, in the order of `chosen`."""

    def extents(self) -> tuple[str, np.ndarray]:
        """Returns what tells the images from others without reading them: its name, and int64s."""

    def reader(self) -> Reader:
        """Returns a function for tf.data that reads some images.

        It takes their numbers (int64 of a static shape `(images,)`) and returns the bytes of each
        file (a list of string scalars) and the labels (int64 of shape `(images,)`).
        """

    def describe(self, number: int) -> str:
        """Returns where an image is, for an error message."""

    def read(self, number: int) -> tuple[bytes, int]:
        """Returns an image's bytes and label, without tf.data.

        Raises:
            OSError: If it cannot be read.
        """


@dataclasses.dataclass(frozen=True, eq=False)
class ImageFiles:
    """Images in one file each: an `EncodedImages`.

    Args:
        paths: Their paths.
        labels: int64 of shape `(images,)`.
    """

    paths: Sequence[str]
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.paths)

    def subset(self, chosen: np.ndarray) -> ImageFiles:
        """Returns some of the images, in the order of `chosen`."""
        return ImageFiles([self.paths[number] for number in chosen.tolist()], self.labels[chosen])

    def extents(self) -> tuple[str, np.ndarray]:
        """Returns the size of each file and its label; a missing file has the size -1."""
        sizes = [os.path.getsize(path) if os.path.exists(path) else -1 for path in self.paths]
        return "sizes of the files and labels", np.array([sizes, self.labels], np.int64)

    def reader(self) -> Reader:
        """Returns a function for tf.data that reads some images."""
        import tensorflow as tf

        # An array of objects, because an array of bytes gives every path the length of the longest.
        names = np.array([os.fsencode(path) for path in self.paths], object)
        paths, labels = host_tensors(names, self.labels)

        def read(numbers):
            found = tf.unstack(tf.gather(paths, numbers), numbers.shape[0])
            return [tf.io.read_file(path) for path in found], tf.gather(labels, numbers)

        return read

    def describe(self, number: int) -> str:
        """Returns the file's path."""
        return self.paths[number]

    def read(self, number: int) -> tuple[bytes, int]:
        """Returns an image's bytes and label."""
        return pathlib.Path(self.paths[number]).read_bytes(), int(self.labels[number])


@dataclasses.dataclass(frozen=True, eq=False)
class ImageRecords:
    """Images that are records at known offsets of TFRecord files: an `EncodedImages`.

    Each image is read by itself, so that an epoch is shuffled as a whole (usually TFRecord files
    are read from their start and shuffled within a buffer), and a run continues anywhere without
    reading what came before. This costs 0.3 ms of a core per image instead of 0.1, and needs a disk
    that reads 100 kB quickly at any offset: a solid-state drive.

    Args:
        files: The TFRecord files.
        file_numbers: Index of the file of each image, int32 of shape `(images,)`.
        offsets: Byte at which its record starts, int64 of shape `(images,)`.
        image_key: Name of the feature with the encoded image.
        label_key: Name of the feature with the label.
    """

    files: Sequence[str]
    file_numbers: np.ndarray
    offsets: np.ndarray
    image_key: str
    label_key: str

    def __len__(self) -> int:
        return len(self.offsets)

    @functools.cached_property
    def labels(self) -> np.ndarray:
        """Labels of all images. Reading them takes one pass over all records."""
        return np.array([self.read(number)[1] for number in range(len(self))], np.int64)

    def subset(self, chosen: np.ndarray) -> ImageRecords:
        """Returns some of the images, in the order of `chosen`."""
        return dataclasses.replace(
            self, file_numbers=self.file_numbers[chosen], offsets=self.offsets[chosen]
        )

    def extents(self) -> tuple[str, np.ndarray]:
        """Returns the file and the offset of each record, which show the sizes of the records."""
        return "places of the records", np.array([self.file_numbers, self.offsets], np.int64)

    def reader(self) -> Reader:
        """Returns a function for tf.data that reads some images."""
        import tensorflow as tf

        names = np.array([os.fsencode(file) for file in self.files], object)
        files, file_numbers, offsets = host_tensors(names, self.file_numbers, self.offsets)

        def read_one(number):
            # Reads one record at an offset; only this raw operation can, and it verifies the
            # checksums.
            records = tf.raw_ops.TFRecordDatasetV2(
                filenames=files[file_numbers[number]][None],
                compression_type="",
                buffer_size=0,
                byte_offsets=offsets[number][None],
            )
            record = (
                tf.data.experimental.from_variant(records, tf.TensorSpec((), tf.string))
                .take(1)
                .get_single_element()
            )
            features = tf.io.parse_single_example(
                record,
                {
                    self.image_key: tf.io.FixedLenFeature((), tf.string),
                    self.label_key: tf.io.FixedLenFeature((), tf.int64),
                },
            )
            return features[self.image_key], features[self.label_key]

        def read(numbers):
            found = [read_one(number) for number in tf.unstack(numbers, numbers.shape[0])]
            images, labels = zip(*found, strict=True)
            return list(images), tf.stack(labels)

        return read

    def describe(self, number: int) -> str:
        """Returns the file and the offset in it."""
        file = self.files[self.file_numbers[number]]
        return f"at byte {self.offsets[number]} of {file}"

    def read(self, number: int) -> tuple[bytes, int]:
        """Returns an image's bytes and label."""
        import tensorflow as tf

        with open(self.files[self.file_numbers[number]], "rb") as file:
            file.seek(int(self.offsets[number]))
            (length,) = struct.unpack("<Q", file.read(BEFORE)[:8])
            content = file.read(length)
        try:
            features = tf.train.Example.FromString(content).features.feature
            image = features[self.image_key].bytes_list.value[0]
            return image, int(features[self.label_key].int64_list.value[0])
        except Exception as error:  # An error of protobuf, or a missing feature.
            raise OSError("the record holds no image and label") from error


def index_records(files: Sequence[str], image_key: str, label_key: str) -> ImageRecords:
    """Finds every record of TFRecord files by their lengths.

    It reads 12 bytes per record: the 1.3 million records of ImageNet take some ten seconds plus the
    time of the disk.

    Args:
        files: The files, in their order.
        image_key: As `ImageRecords` takes it.
        label_key: As `ImageRecords` takes it.

    Raises:
        OSError: If a file cannot be read, or ends within a record.
    """
    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        offsets = list(pool.map(_offsets, files))
    numbers = np.repeat(np.arange(len(files), dtype=np.int32), [len(each) for each in offsets])
    return ImageRecords(list(files), numbers, np.concatenate(offsets), image_key, label_key)


def explain(images: EncodedImages, numbers: Sequence[int], classes: int, channels: int) -> str:
    """Returns in one line which of some images of a split cannot be used, and why.

    Args:
        images: The split.
        numbers: Numbers of the images.
        classes: Number of classes.
        channels: 3 or 1.
    """
    number, reason = numbers[0], "it, or one read with it, could not be read a moment ago"
    for each in numbers:
        try:
            encoded, label = images.read(each)
            if 0 <= label < classes:
                decode(encoded, channels)
                continue
            found = f"its label is {label} and not from 0 to {classes - 1}"
        except Exception as error:  # Any error is the reason.
            found = str(error) or type(error).__name__
        number, reason = each, found
        break
    return " ".join(f"{START}{images.describe(number)}: {reason}".split("\n"))


def _offsets(path: str) -> np.ndarray:
    offsets, start = [], 0
    with open(path, "rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        while start < size:
            file.seek(start)
            header = file.read(BEFORE) or b""
            end = size + 1
            if len(header) == BEFORE:
                end = start + BEFORE + struct.unpack("<Q", header[:8])[0] + AFTER
            if end > size:
                raise OSError(f"{path} ends within the record at byte {start}")
            offsets.append(start)
            start = end
    return np.array(offsets, np.int64)
