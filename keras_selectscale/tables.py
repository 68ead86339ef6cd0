"""CSV files that are read with their types checked."""

import csv
import dataclasses
import io
import pathlib
from typing import Any, TypeVar

from keras_selectscale.files import DamagedFileError, convert, read_text
from keras_selectscale.wording import shortened

T = TypeVar("T")


def read_rows(path: pathlib.Path, kind: type[T]) -> list[tuple[dict[str, str], T]]:
    """Reads a CSV file with a header and checks the types of some columns.

    Args:
        path: The file, in UTF-8.
        kind: A dataclass with a field for each column. An empty cell is `None`. The file may have
            further columns.

    Returns:
        For each row, the text of all columns and an instance of `kind`.

    Raises:
        DamagedFileError: If the file is not CSV or a row does not fit `kind`; the message names the
            row, from 1, and the column.
        OSError: If the file cannot be read.
    """
    # A file that has been edited elsewhere may end its lines otherwise.
    text = io.StringIO(read_text(path), newline="")
    try:
        rows = list(csv.DictReader(text, strict=True))
    except csv.Error as error:
        raise DamagedFileError(f"{path} is damaged: {shortened(error)}") from None
    names = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    found = []
    for number, row in enumerate(rows, start=1):
        cells: dict[str, Any] = {name: row.get(name) or None for name in names}
        found.append((row, convert(cells, kind, path, f"row {number}", of_text=True)))
    return found
