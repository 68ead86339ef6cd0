"""What a split of streamed images is read through."""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np


class EncodedImages(Protocol):
    """The images of one split as they lie on the disk, each read by its number."""

    def __len__(self) -> int:
        """Number of images."""

    @property
    def labels(self) -> np.ndarray:
        """Labels as they lie there, int64 of shape `(images,)`."""

    def subset(self, chosen: np.ndarray) -> "EncodedImages":
        """Returns some of the images, in the order of `chosen`."""

    def reader(self) -> Callable[[Any], tuple[Any, Any]]:
        """Returns a function for tf.data, of a number (int64 scalar) to the file's bytes and label.

        Both are scalar tensors, a string and an int64.
        """

    def describe(self, number: int) -> str:
        """Returns where an image lies, to be said in an error."""

    def read(self, number: int) -> tuple[bytes, int]:
        """Returns an image's bytes and label, without tf.data.

        Raises:
            OSError: Where it cannot be read.
        """
