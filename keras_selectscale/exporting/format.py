"""What a format is called, what it needs, and by what it is written and read."""

import dataclasses
import pathlib
from collections.abc import Callable

import keras

from keras_selectscale.exporting.exported_file import ExportedFile
from keras_selectscale.exporting.signature import Signature


@dataclasses.dataclass(frozen=True)
class Format:
    """A format.

    Attributes:
        suffix: With which its paths end; empty for a folder.
        default_name: File name where none is given.
        packages: Modules that it needs besides TensorFlow, with the names by which pip has them.
        on_tensorflow: Whether it takes the TensorFlow backend to write it.
        in_float32: Whether it holds models that compute in float32 alone.
        tolerance: What its outputs may differ from the model's.
        write: Function of the model, its signature and the path.
        read: Function of the path.
    """

    suffix: str
    default_name: str
    packages: dict[str, str]
    on_tensorflow: bool
    in_float32: bool
    tolerance: float
    write: Callable[[keras.Model, Signature, pathlib.Path], None]
    read: Callable[[pathlib.Path], ExportedFile]
