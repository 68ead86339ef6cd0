"""The registry of export formats.

A format registers itself in the file that defines how it is written and read.
"""

import dataclasses
import importlib
import importlib.util
import pathlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import keras
import numpy as np

from keras_selectscale.checks import ArgumentValueError, as_choice, value_error
from keras_selectscale.environment import require
from keras_selectscale.exporting.signature import Signature


class Consumer(NamedTuple):
    """A file, loaded into the runtime that executes it.

    Attributes:
        inputs: Names of the inputs, in the order of the file.
        run: Function from the input arrays by name to the output arrays by name.
    """

    inputs: list[str]
    run: Callable[[Mapping[str, np.ndarray]], Mapping[str, Any]]


@dataclasses.dataclass(frozen=True)
class ExportedFile:
    """A file that was read back.

    Attributes:
        nodes: Type of every node, including those in functions and subgraphs, or of every layer if
            the file holds layers.
        weights: The variables by their name in the file, or `None` if the format folds and
            transposes them.
        load: Function that loads the file into its runtime. A file that does not load can still be
            inspected.
        drops: Classes of the drop layers in a file that holds layers, `None` if it holds a graph.
        reasons: What is wrong with the file beyond its graph, one sentence each.
    """

    nodes: list[str]
    weights: Mapping[str, np.ndarray] | None
    load: Callable[[], Consumer]
    drops: tuple[str, ...] | None = None
    reasons: tuple[str, ...] = ()


def _nothing(model: keras.Model) -> str | None:
    return None


@dataclasses.dataclass(frozen=True)
class Format:
    """An export format.

    Attributes:
        name: Name that users pass.
        title: Short description.
        suffix: How its paths end; empty for a folder.
        default_name: File name if the user gives none.
        packages: Modules that it needs besides TensorFlow, with their names on PyPI.
        on_tensorflow: Whether only the TensorFlow backend can write it.
        in_float32: Whether it holds only models that compute in float32.
        tolerance: Largest allowed difference of its outputs from the model's, unless float32 noise
            exceeds it; 0 if they must be equal to the bit.
        write: Function of the model, its signature and the path.
        read: Function of the path and `safe_mode`.
        refusal: Function of the model that returns why the format cannot hold it, or `None` if only
            the conversion can show that.
        companion_suffixes: Endings of the files that belong to a file, beside it.
        explanation: Function that returns more about the reason if the file of a model did not
            pass, or `None`.
    """

    name: str
    title: str
    suffix: str
    default_name: str
    packages: Mapping[str, str]
    on_tensorflow: bool
    in_float32: bool
    tolerance: float
    write: Callable[[keras.Model, Signature, pathlib.Path], None]
    read: Callable[[pathlib.Path, bool], ExportedFile]
    refusal: Callable[[keras.Model], str | None] = _nothing
    explanation: Callable[[keras.Model], str | None] = _nothing
    companion_suffixes: tuple[str, ...] = ()

    @property
    def is_written_elsewhere(self) -> bool:
        """Whether TensorFlow writes it in a separate process, because another backend runs here."""
        return self.on_tensorflow and keras.backend.backend() != "tensorflow"

    def companions(self, path: pathlib.Path) -> list[pathlib.Path]:
        """Returns the files that belong to a file."""
        return [path.with_suffix(suffix) for suffix in self.companion_suffixes]


FORMATS: dict[str, Format] = {}


def register(format: Format) -> Format:
    """Adds a format to those that `export` and the command line offer."""
    FORMATS[format.name] = format
    return format


def get_format(name: str) -> Format:
    """Returns the format of a name.

    Raises:
        TypeError: If `name` is not a string.
        ValueError: If no format has that name.
        ImportError: If a package is missing that the format needs.
    """
    found = FORMATS[as_choice("format", name, sorted(FORMATS))]
    elsewhere = found.is_written_elsewhere
    if elsewhere:
        require("tensorflow", "tensorflow,export", f"The format {name!r}, which it writes,")
    # An import may load TensorFlow, which would take the accelerator's memory from the backend.
    is_there = _is_found if elsewhere else _imports
    missing = [pip for module, pip in found.packages.items() if not is_there(module)]
    if missing:
        raise ImportError(
            f"The format {name!r} needs packages that are not installed: "
            f"pip install {' '.join(missing)} (or the extra: pip install "
            "'keras-selectscale[export]')"
        )
    return found


def _is_found(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _imports(module: str) -> bool:
    try:
        importlib.import_module(module)
    except ImportError:
        return False
    return True


# Endings of files that no format writes, but other libraries do.
FILES = {".h5", ".hdf5", ".pb", ".pt", ".pth", ".ckpt", ".safetensors", ".zip"}


def check_suffix(path: pathlib.Path, format: Format) -> None:
    """Raises a `ValueError` if a path does not have the ending of the format."""
    of_files = {known.suffix for known in FORMATS.values() if known.suffix} | FILES
    if format.suffix and path.suffix != format.suffix:
        expected = f"end with {format.suffix} for the format {format.name!r}"
    elif not format.suffix and path.suffix in of_files:
        expected = f"be a folder for the format {format.name!r}, not end with {path.suffix}"
    else:
        return
    raise ArgumentValueError.about(
        "path", f"Argument `path` must {expected}. Received: path={str(path)!r}"
    )


def format_of(path: pathlib.Path) -> str:
    """Returns the name of the format of an existing file or folder.

    Raises:
        ValueError: If no format has that ending.
    """
    for name, known in FORMATS.items():
        if path.is_dir() != bool(known.suffix) and (path.is_dir() or path.suffix == known.suffix):
            return name
    raise value_error("format", "given for a path whose ending does not determine it", path)
