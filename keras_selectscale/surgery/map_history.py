"""Class activation maps after chosen epochs of a training: a callback and its file."""

import os
import pathlib
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np

from keras_selectscale.argument_names import named_attributes
from keras_selectscale.array_files import read_arrays
from keras_selectscale.checks import as_integer, shown, value_error
from keras_selectscale.files import DamagedFileError, replacing
from keras_selectscale.object_checks import as_path, as_sequence, as_string
from keras_selectscale.surgery.class_activation import ActivationMaps, ClassActivation

MOST_EPOCHS = 2**31 - 1
FIELDS = ("maps", "classes", "probabilities")
# The kinds of dtypes and the rank of each.
KINDS = (("f", 3), ("iu", 1), ("f", 1))


@named_attributes
class ActivationMapHistory(keras.callbacks.Callback):
    """Keeps the class activation maps of some images after chosen epochs.

    Use it to see how the patterns that a network uses change during its training (Figure 1 of the
    paper); `keras-selectscale cam RUN --epochs` draws them. The model is called in inference, so
    the training is the same to the bit with the callback and without it.

    Args:
        images: Images as the model takes them.
        epochs: Numbers of epochs, from 1.
        classes: As `class_activation_maps` takes them.
        path: File to write after each of these epochs (NumPy's `.npz`), or `None`. The maps of
            epochs before the first one stay.
        pixels: The images in [0, 1] as they are to be drawn, for the file; `None` for `images`.
        class_names: Name of each class, for the file; `()` if they have none.

    Attributes:
        history: The `ActivationMaps` by epoch, from 1.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If an argument is out of range, or, when the training begins, the model does not
            end as `class_activation_maps` requires.

    Example:

    ```python
    kept = ActivationMapHistory(images[:6], epochs=[1, 5])
    model.fit(images, labels, epochs=5, callbacks=[kept])
    kept.history[5].maps
    ```
    """

    def __init__(
        self,
        images: Any,
        epochs: Sequence[int],
        *,
        classes: Any = None,
        path: str | os.PathLike | None = None,
        pixels: Any = None,
        class_names: Sequence[str] = (),
    ):
        super().__init__()
        shape = getattr(images, "shape", None)
        if shape is None or len(shape) != 4 or shape[0] == 0:
            raise value_error("images", "an array of at least one image, of rank 4", images)
        self.images, self.classes = images, classes
        self.epochs = {
            as_integer("epochs", e, 1, MOST_EPOCHS) for e in as_sequence("epochs", epochs)
        }
        self.path = None if path is None else as_path("path", path)
        self.pixels = images if pixels is None else pixels
        self.class_names = [
            as_string("class_names", name) for name in as_sequence("class_names", class_names)
        ]
        self.history: dict[int, ActivationMaps] = {}
        self._activation: ClassActivation | None = None
        self._of: Any = None

    def on_train_begin(self, logs: Any = None) -> None:
        """Checks the model."""
        if self._of is not self.model:
            self._activation, self._of = ClassActivation(self.model), self.model

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Keeps the maps of a chosen epoch."""
        if epoch + 1 not in self.epochs or self._activation is None:
            return
        size = int(self.images.shape[0])
        found = self._activation(self.images, self.classes, batch_size=size)
        self.history[epoch + 1] = found
        if self.path is not None:
            kept = {}
            if self.path.exists():  # Of the training before it was continued.
                before = read_maps(self.path).history
                kept = {number: each for number, each in before.items() if number <= epoch}
            written = KeptMaps({**kept, epoch + 1: found}, self.pixels, self.class_names)
            write_maps(self.path, written)


class KeptMaps(NamedTuple):
    """The content of a file of maps.

    Attributes:
        history: The maps by epoch, from 1.
        pixels: The images in [0, 1].
        class_names: Name of each class; empty if they have none.
    """

    history: dict[int, ActivationMaps]
    pixels: Any
    class_names: Sequence[str]


def write_maps(path: pathlib.Path, kept: KeptMaps) -> None:
    """Writes maps by epoch under a temporary name, which is then renamed."""
    arrays = {
        f"{name}_{number}": getattr(each, name)
        for number, each in kept.history.items()
        for name in FIELDS
    }
    arrays["pixels"] = keras.ops.convert_to_numpy(kept.pixels)
    if kept.class_names:
        arrays["class_names"] = np.array(kept.class_names)
    with replacing(path) as beside, beside.open("wb") as file:
        np.savez_compressed(file, **arrays)


def read_maps(path: pathlib.Path) -> KeptMaps:
    """Returns the maps by epoch, and the images.

    Raises:
        DamagedFileError: If the file cannot be read, or its arrays do not fit each other.
        FileNotFoundError: If it does not exist.
    """
    arrays = read_arrays(path)
    pixels = arrays.pop("pixels", np.empty(0))
    if pixels.ndim != 4 or 0 in pixels.shape or pixels.dtype.kind not in "fu":
        raise _damaged(path, "pixels", pixels)
    if not np.isfinite(pixels).all():
        raise DamagedFileError(f"{path} is damaged: pixels are not finite")
    names = arrays.pop("class_names", np.empty(0, "U1"))  # Absent in older files.
    if names.ndim != 1 or names.dtype.kind != "U":
        raise _damaged(path, "class_names", names)
    history = {}
    for number in sorted(_epoch(path, name) for name in arrays if name.startswith("maps_")):
        found = [arrays.get(f"{name}_{number}", np.empty(0)) for name in FIELDS]
        for name, array, (kinds, rank) in zip(FIELDS, found, KINDS, strict=True):
            fits = array.ndim == rank and len(array) == len(pixels) and array.size > 0
            if not fits or array.dtype.kind not in kinds or not np.isfinite(array).all():
                raise _damaged(path, f"{name}_{number}", array)
        history[number] = ActivationMaps(*found)
    if not history:
        raise DamagedFileError(f"{path} is damaged: it has the maps of no epoch")
    return KeptMaps(history, pixels, names.tolist())


def _epoch(path: pathlib.Path, name: str) -> int:
    number = name.removeprefix("maps_")
    if not re.fullmatch(r"[1-9][0-9]{0,9}", number):
        raise DamagedFileError(f"{path} is damaged: {shown(name)} is not the name of an array")
    return int(number)


def _damaged(path: pathlib.Path, name: str, array: np.ndarray) -> DamagedFileError:
    received = f"an array of {array.dtype} of shape {array.shape}" if array.size else "none"
    return DamagedFileError(f"{path} is damaged: {name} does not fit, received {received}")
