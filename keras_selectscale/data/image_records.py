"""Images in the TFRecord files that TensorFlow Datasets writes."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import functools
import os
import struct
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from keras_selectscale.data.pipeline import host_tensors

# A record is its length (8 bytes), a checksum of that (4), the content and a checksum of it (4).
BEFORE, AFTER = 12, 4
# Files indexed at a time: it is the disk that is waited for.
THREADS = 16


@dataclasses.dataclass(frozen=True, eq=False)
class ImageRecords:
    """The images of one split as records at known places of files: an `EncodedImages`.

    Any image is read by itself, so that an epoch is shuffled as a whole (TFRecord files are
    usually read from their start, and shuffled no further than a buffer reaches), and a run goes on
    anywhere without reading what came before. It costs a read of some 0.3 ms of a core an image in
    place of 0.1, and a disk that is good at reads of 100 kB in any order: a solid-state one.

    Args:
        files: The TFRecord files.
        file_numbers: Which of them each image is in, int32 of shape `(images,)`.
        offsets: At which byte its record starts, int64 of shape `(images,)`.
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
        """Labels of all images, for which all records are read through once."""
        return np.array([self.read(number)[1] for number in range(len(self))], np.int64)

    def subset(self, chosen: np.ndarray) -> ImageRecords:
        """Returns some of the images, in the order of `chosen`."""
        return dataclasses.replace(
            self, file_numbers=self.file_numbers[chosen], offsets=self.offsets[chosen]
        )

    def reader(self) -> Callable[[Any], tuple[Any, Any]]:
        """Returns a function of a number to the image's bytes and label, for tf.data."""
        import tensorflow as tf

        names = np.array([os.fsencode(file) for file in self.files], object)
        files, file_numbers, offsets = host_tensors(names, self.file_numbers, self.offsets)

        def read(number):
            # A dataset of the file from the record on, of which the first is taken: this op alone
            # starts elsewhere than at a file's start, and it verifies the checksums.
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

        return read

    def describe(self, number: int) -> str:
        """Returns the file and the place in it."""
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
        except Exception as error:  # protobuf's own, or no such feature.
            raise OSError("the record holds no image and label") from error


def index_records(files: Sequence[str], image_key: str, label_key: str) -> ImageRecords:
    """Finds every record of some TFRecord files, from their lengths alone.

    It reads 12 bytes a record: the 1.3 million of ImageNet take some ten seconds and what the disk
    adds.

    Args:
        files: The files, in their order.
        image_key: As of `ImageRecords`.
        label_key: As of `ImageRecords`.

    Raises:
        OSError: Where a file cannot be read, or ends within a record.
    """
    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        offsets = list(pool.map(_offsets, files))
    numbers = np.repeat(np.arange(len(files), dtype=np.int32), [len(each) for each in offsets])
    return ImageRecords(list(files), numbers, np.concatenate(offsets), image_key, label_key)


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
