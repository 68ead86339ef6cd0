"""Images that are files of their own."""

import dataclasses
import os
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from keras_selectscale.data.pipeline import host_tensors


@dataclasses.dataclass(frozen=True, eq=False)
class ImageFiles:
    """The images of one split as files: an `EncodedImages`.

    Args:
        paths: Where they are.
        labels: int64 of shape `(images,)`.
    """

    paths: Sequence[str]
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.paths)

    def subset(self, chosen: np.ndarray) -> "ImageFiles":
        """Returns some of the images, in the order of `chosen`."""
        return ImageFiles([self.paths[number] for number in chosen.tolist()], self.labels[chosen])

    def reader(self) -> Callable[[Any], tuple[Any, Any]]:
        """Returns a function of a number to the file's bytes and label, for tf.data."""
        import tensorflow as tf

        # As an array of objects: one of bytes would take the longest path's length for each.
        names = np.array([os.fsencode(path) for path in self.paths], object)
        paths, labels = host_tensors(names, self.labels)
        return lambda number: (tf.io.read_file(paths[number]), labels[number])

    def describe(self, number: int) -> str:
        """Returns the file's path."""
        return self.paths[number]

    def read(self, number: int) -> tuple[bytes, int]:
        """Returns an image's bytes and label."""
        return pathlib.Path(self.paths[number]).read_bytes(), int(self.labels[number])
