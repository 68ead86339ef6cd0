"""NumPy's archives of arrays (`.npz`), and what is wrong with a damaged one."""

import pathlib
import zipfile
from typing import Any

import numpy as np

from keras_selectscale.checks import shown
from keras_selectscale.regular_files import (
    DamagedFileError,
    check_entries,
    check_regular,
    machine_memory,
)
from keras_selectscale.wording import shortened


def read_arrays(path: pathlib.Path) -> dict[str, np.ndarray]:
    """Reads every array of a `.npz` file.

    Args:
        path: The file.

    Returns:
        The arrays by name. None of them has a dtype of objects.

    Raises:
        DamagedFileError: If the file is not an archive of arrays.
        FileNotFoundError: If it does not exist.
    """
    arrays: dict[str, np.ndarray] = {}
    check_regular(path)
    try:
        with zipfile.ZipFile(path) as entries:
            check_entries(entries, machine_memory())
        with np.load(path, allow_pickle=False) as archive:
            for name in archive.files:
                arrays[name] = _as_array(name, archive[name])
    except FileNotFoundError:
        raise
    # NumPy, zipfile and zlib each raise their own errors.
    except Exception as error:
        reason = shortened(error)
        if not reason or isinstance(error, TypeError | AttributeError | LookupError):
            reason = "it is not an archive of arrays"
        raise DamagedFileError(f"{path} is damaged: {reason}") from None
    return arrays


def _as_array(name: str, content: Any) -> np.ndarray:
    if not isinstance(content, np.ndarray):
        raise ValueError(f"{shown(name)} is not an array")
    return content
