"""Files that are never half-written, and JSON files that are read with their types checked."""

import collections
import contextlib
import json
import os
import pathlib
import re
import shutil
from collections.abc import Iterator
from typing import Any, TypeVar, overload

from keras_selectscale.checks import shown
from keras_selectscale.disk_errors import cannot_be_written as cannot_be_written
from keras_selectscale.disk_errors import disk_errors as disk_errors
from keras_selectscale.environment import require
from keras_selectscale.regular_files import LARGEST_TEXT, check_regular, check_replaceable
from keras_selectscale.regular_files import DamagedFileError as DamagedFileError
from keras_selectscale.wording import shortened

T = TypeVar("T")


def part_of(path: pathlib.Path) -> pathlib.Path:
    """Returns the temporary name under which a file or folder is written before it is renamed."""
    return path.with_name(f".{path.name}.part")


@contextlib.contextmanager
def replacing(path: pathlib.Path, holds: str = "") -> Iterator[pathlib.Path]:
    """Yields a temporary path to write to, and renames it to `path` if no error occurs.

    At any moment, `path` is either the old file or the complete new one. If an error occurs, the
    temporary file or folder is removed.

    Args:
        path: Final path of a file, or of a folder that does not exist yet.
        holds: Pattern of the names of the files in the folder.

    Raises:
        OSError: If writing fails, with the name of the file and the reason.
    """
    beside = part_of(path)
    check_replaceable(path)
    remove_left(beside, path, holds)
    try:
        yield beside
        if beside.is_file():
            with beside.open("rb") as file:
                os.fsync(file.fileno())
        os.replace(beside, path)
    except OSError as error:
        _remove(beside)
        raise cannot_be_written(path, error) from None
    except BaseException:
        _remove(beside)
        raise


def remove_left(beside: pathlib.Path, path: pathlib.Path, holds: str = "") -> None:
    """Removes what a killed process has left under a temporary name.

    A link there would lead what is written next to another file.

    Args:
        beside: The temporary name.
        path: The final name.
        holds: As `replacing` takes it.

    Raises:
        OSError: If it is a folder that holds other files, or cannot be removed.
    """
    try:
        if beside.is_dir() and not beside.is_symlink():
            for each in beside.glob(holds) if holds else ():
                each.unlink()
            beside.rmdir()
        else:
            beside.unlink(missing_ok=True)
    except OSError as error:
        reason = OSError(error.errno, f"{error.strerror}: {beside}")
        raise cannot_be_written(path, reason) from None


def write_text(path: pathlib.Path, text: str) -> None:
    """Writes a UTF-8 file under a temporary name and renames it.

    Raises:
        OSError: If the file cannot be written; what was written before is kept.
    """
    with replacing(path) as beside:
        beside.write_text(text, encoding="utf-8", newline="")


def write_json(path: pathlib.Path, content: Any) -> None:
    """Writes a JSON file under a temporary name and renames it.

    Raises:
        OSError: If the file cannot be written; what was written before is kept.
        ValueError: If `content` contains an infinite number or NaN.
    """
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


@overload
def read_json(path: pathlib.Path) -> dict[str, Any]: ...
@overload
def read_json(path: pathlib.Path, kind: type[T]) -> T: ...
def read_json(path: pathlib.Path, kind: Any = None) -> Any:
    """Reads a JSON file and checks its types.

    Args:
        path: The file.
        kind: Type of the content: a dataclass, a `TypedDict` or any annotation that msgspec
            decodes. `None` stands for a JSON object with any content.

    Returns:
        An instance of `kind`.

    Raises:
        DamagedFileError: If the content is not JSON or does not fit `kind`.
        OSError: If the file cannot be read.
    """
    content = parse_json(read_text(path), path)
    if kind is None:
        if not isinstance(content, dict):
            raise DamagedFileError(
                f"{path} is damaged: expected a JSON object, received {shown(content)}"
            )
        return content
    return convert(content, kind, path)


def read_text(path: pathlib.Path) -> str:
    """Returns the content of a UTF-8 file.

    Raises:
        DamagedFileError: If it is not UTF-8 text, no file, or larger than 256 MiB.
        OSError: If it cannot be read.
    """
    check_regular(path, LARGEST_TEXT)
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return file.read()
    except ValueError:
        raise DamagedFileError(f"{path} is damaged: it is not UTF-8 text") from None


def parse_json(text: str, path: pathlib.Path) -> Any:
    """Parses JSON, and names the file if it is damaged.

    Args:
        text: The text.
        path: File from which the text comes.

    Raises:
        DamagedFileError: If the text is not JSON.
    """
    try:
        content = json.loads(text, object_pairs_hook=_unambiguous)
        if r"\ud" in text.lower():  # Half of a character, which no file can hold.
            json.dumps(content, ensure_ascii=False).encode()
        return content
    except RecursionError:
        raise DamagedFileError(f"{path} is damaged: it is nested too deeply") from None
    except UnicodeEncodeError:
        raise DamagedFileError(f"{path} is damaged: a string is not Unicode text") from None
    except ValueError as error:
        raise DamagedFileError(f"{path} is damaged: {error}") from None


def convert(
    content: Any, kind: type[T], path: pathlib.Path, field: str = "", *, of_text: bool = False
) -> T:
    """Converts parsed JSON to a type, and names the file and the field if it does not fit.

    Missing fields of a dataclass take their defaults. Unknown fields are errors.

    Args:
        content: Parsed JSON.
        kind: As `read_json` takes it.
        path: File from which the content comes.
        field: Path of `content` within the file, such as `"state"`; empty for the whole file.
        of_text: Whether numbers are written as text, as in a CSV file.

    Raises:
        DamagedFileError: If the content does not fit `kind`.
    """
    require("msgspec", "train", "Reading a run or search folder")
    import msgspec

    fields = getattr(kind, "__dataclass_fields__", None)
    if fields is not None and isinstance(content, dict):
        unknown = sorted(set(content) - set(fields))
        if unknown:
            name = _joined(field, unknown[0])
            raise DamagedFileError(f"{path} is damaged: the field `{shown(name)[1:-1]}` is unknown")
    try:
        return msgspec.convert(content, kind, strict=not of_text)
    except RecursionError:
        raise DamagedFileError(f"{path} is damaged: it is nested too deeply") from None
    except msgspec.ValidationError as error:
        reason = _described(str(error), content, field)
        raise DamagedFileError(f"{path} is damaged: {reason}") from None


@contextlib.contextmanager
def lock(folder: pathlib.Path) -> Iterator[None]:
    """Keeps other processes from writing a folder within the context.

    The operating system releases the lock when the process ends, even if it is killed.

    Args:
        folder: The folder, which exists. The lock is the file `.lock` in it.

    Raises:
        BlockingIOError: If another process holds the lock.
        OSError: If the folder cannot be written.
    """
    require("filelock", "train", "Locking a folder")
    import filelock

    held = filelock.FileLock(folder / ".lock", timeout=0)
    try:
        held.acquire()
    except filelock.Timeout:
        raise BlockingIOError(f"{folder} is being written by another process") from None
    except OSError as error:
        raise cannot_be_written(folder, error) from None
    try:
        yield
    finally:
        held.release()


def _unambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        counts = collections.Counter(name for name, _ in pairs)
        twice = counts.most_common(1)[0][0]
        raise ValueError(f"the field `{shown(twice)[1:-1]}` occurs twice")
    return found


def _remove(path: pathlib.Path) -> None:
    with contextlib.suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _described(message: str, content: Any, field: str) -> str:
    """Returns msgspec's message with the field's name and the received value."""
    reason, _, place = message.partition(" - at `$")
    place = place.rstrip("`")
    missing = re.fullmatch(r"Object missing required field `(.*)`", reason)
    if missing:
        return f"the field `{_joined(field, place.lstrip('.'), missing[1])}` is missing"
    name = _joined(field, place.lstrip("."))
    expected = re.fullmatch(r"Expected `(.*)`, got `(.*)`", reason)
    if expected:
        reason = f"expected {expected[1]}, received {_received(content, place, expected[2])}"
    return f"the field `{name}`: {shortened(reason)}" if name else shortened(reason)


def _received(content: Any, place: str, kind: str) -> str:
    """Returns the value at a place such as `.state.rows[1]`, or the name of its type."""
    for key, index in re.findall(r"\.([^.\[\]]+)|\[(\d+)\]", place):
        try:
            content = content[key] if key else content[int(index)]
        except (KeyError, IndexError, TypeError):
            return kind
    return shown(content) if "[...]" not in place else kind


def _joined(*parts: str) -> str:
    return ".".join(part for part in parts if part)
