"""Damage to JSON, to archives of arrays and to bytes."""

import copy
import io
import json
import os
import pathlib
import shutil
import struct
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

from tests.fuzz.values import shown

# What may stand in a JSON file in place of a value.
VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 10**30, -(2**63), 0.5, -0.5, 1e308, float("nan"), float("inf"),
    "", "x", "max", "9" * 5000, "a\nb", "[/]", "\ud800", "/../../../evil0", "..", "\0",
    [], [0], ["x"], [[]], [None], {}, {"x": 1}, {"class_name": "x", "config": {}}, {"": None},
)  # fmt: skip
NESTED = "NESTED"  # Replaced in the text, because Python cannot write it.
DEPTH = 200_000
# What may stand in place of an array.
ARRAYS: tuple[Any, ...] = (
    np.array(0), np.array(-1), np.array(1), np.array(3), np.array(2**62), np.array(np.inf),
    np.array(np.nan), np.array(0.5), np.array("x"), np.array(["x"]), np.array([]), np.zeros((0, 8)),
    np.zeros((0, 8, 8, 1), "uint8"), np.zeros((9, 8, 8, 0), "uint8"), np.zeros((9, 8, 8), "uint8"),
    np.zeros((9, 0, 8, 1), "uint8"), np.zeros((9, 8, 8, 2), "uint8"), np.zeros((9, 8, 8, 1), "f4"),
    np.arange(9), np.full(9, -5), np.full(9, 2**62), np.arange(9.0), np.array([True] * 9),
    np.array([1 + 1j]), np.array(["1" * 5000]), np.array([None], object), np.array(b"x"),
    np.zeros((1, 2, 3)), np.array([np.nan]), np.array([0.0]), np.array([-1.0]), np.array([1e308]),
    np.array([2**40]), np.array([-3]), np.array("2020-01-01", "datetime64[D]"),
)  # fmt: skip
# What is not JSON.
TEXTS = (
    b"", b"{", b"null", b"[]", b"1", b'"x"', b"NaN", b"\xff\xfe\x00", b"\x00" * 9, b"{}",
    b"[" * DEPTH, b'{"a":' * DEPTH, b"[" * DEPTH + b"]" * DEPTH, b"{'a': 1}", b"9" * 10_000,
    b"\xef\xbb\xbf{}", b"1e999",
)  # fmt: skip


def paths_of(content: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Returns the path to each value in parsed JSON."""
    found = [path]
    items = content.items() if isinstance(content, dict) else ()
    if isinstance(content, list):
        items = list(enumerate(content))[:3]
    for key, value in items:
        found += paths_of(value, (*path, key))
    return found


def values() -> st.SearchStrategy[Any]:
    """Draws a value, as a copy because Keras wraps what is in a dict."""
    return st.sampled_from(VALUES).map(copy.deepcopy)


@st.composite
def changed(draw: Any, content: Any) -> tuple[str, Any, tuple[Any, ...]]:
    """Draws a change of parsed JSON: its text, the new content, and the path to the change."""
    path = draw(st.sampled_from(paths_of(content)[1:] or [()]))
    content = copy.deepcopy(content)
    parent = content
    for key in path[:-1]:
        parent = parent[key]
    where = ".".join(map(str, path))
    action = draw(st.sampled_from(["replace"] * 6 + ["remove", "add", "nest"]))
    if not path:
        return "replaced", draw(values()), path
    if action == "remove":
        del parent[path[-1]]
    elif action == "add" and isinstance(parent, dict):
        parent["unexpected"] = draw(values())
        path = (*path[:-1], "unexpected")
    elif action == "nest":
        parent[path[-1]] = NESTED
    else:
        action = "replace"
        parent[path[-1]] = draw(values())
    after = "" if action == "remove" else f" by {shown(_at(content, path))}"
    return f"{action} {where}{after}", content, path


def _at(content: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        content = content[key]
    return content


def as_bytes(content: Any) -> bytes:
    """Returns changed JSON as a file holds it."""
    text = json.dumps(content)
    return text.replace(f'"{NESTED}"', "[" * DEPTH + "]" * DEPTH).encode()


@st.composite
def damaged_json(draw: Any, content: bytes) -> tuple[str, bytes]:
    """Draws a damaged JSON file: what was done, and its bytes."""
    kind = draw(st.sampled_from(["field"] * 6 + ["text", "bytes"]))
    if kind == "field":
        text, after, _ = draw(changed(json.loads(content)))
        return text, as_bytes(after)
    if kind == "text":
        after = draw(st.sampled_from(TEXTS))
        return f"all by {shown(after)}", after
    return draw(damaged_bytes(content))


@st.composite
def damaged_bytes(draw: Any, content: bytes) -> tuple[str, bytes]:
    """Draws damaged bytes: what was done, and the bytes."""
    size = len(content)
    kind = draw(st.sampled_from(["flip", "flip", "truncate", "insert", "zero", "cut out", "empty"]))
    # The ends hold the directories of archives.
    place = draw(
        st.one_of(
            st.integers(0, max(size - 1, 0)),
            st.integers(0, min(size - 1, 60)),
            st.integers(max(size - 400, 0), max(size - 1, 0)),
        )
    )
    if kind == "flip":
        bit = draw(st.integers(0, 7))
        after = bytearray(content)
        after[place] ^= 1 << bit
        return f"bit {bit} of byte {place}", bytes(after)
    if kind == "truncate":
        return f"only {place} bytes", content[:place]
    if kind == "insert":
        extra = draw(st.binary(min_size=1, max_size=4))
        return f"{extra!r} at {place}", content[:place] + extra + content[place:]
    length = draw(st.integers(1, 64))
    if kind == "zero":
        after = content[:place] + bytes(length) + content[place + length :]
        return f"{length} zeros at {place}", after
    if kind == "cut out":
        return f"no {length} bytes at {place}", content[:place] + content[place + length :]
    return "empty", b""


@st.composite
def in_place(draw: Any) -> tuple[str, Callable[[pathlib.Path], None]]:
    """Draws something else in place of a file."""
    kind = draw(
        st.sampled_from(["missing", "a folder", "a loop", "a dangling link", "a pipe", "a device"])
    )

    def act(path: pathlib.Path) -> None:
        path.unlink(missing_ok=True) if not path.is_dir() else shutil.rmtree(path)
        if kind == "a folder":
            path.mkdir()
        elif kind == "a loop":
            path.symlink_to(path.name)
        elif kind == "a dangling link":
            path.symlink_to("nowhere")
        elif kind == "a pipe":
            os.mkfifo(path)
        elif kind == "a device":
            path.symlink_to("/dev/zero")

    return kind, act


def writing(content: bytes) -> Callable[[pathlib.Path], None]:
    """Returns what writes bytes in place of a file."""

    def act(path: pathlib.Path) -> None:
        path.write_bytes(content)

    return act


@st.composite
def damaged_archive(draw: Any, content: bytes) -> tuple[str, bytes]:
    """Draws a damaged archive of arrays: what was done, and its bytes."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        keys = [entry.removesuffix(".npy") for entry in archive.namelist()]
    kind = draw(st.sampled_from(["array"] * 6 + ["zip", "zip", "other"]))
    if kind == "array":
        key = draw(st.sampled_from(keys))
        array = draw(st.sampled_from([None, *ARRAYS]))
        return f"{key} by {shown(array)}", _changed_archive(content, key, array)
    if kind == "zip":
        field = draw(st.sampled_from(["flags", "compression", "size"]))
        value = draw(st.sampled_from([0, 1, 9, 12, 14, 97, 99, 0x2001, 0xFFFF]))
        return f"{field} {value}", _changed_directory(content, field, value)
    after = draw(st.sampled_from(_other_archives()))
    return f"all by {shown(after)}", after


def _changed_archive(content: bytes, key: str, array: Any) -> bytes:
    with np.load(io.BytesIO(content)) as part:
        arrays = {name: part[name] for name in part.files}
    if array is None:
        arrays.pop(key)
    else:
        arrays[key] = array
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


def _changed_directory(content: bytes, field: str, value: int) -> bytes:
    """Returns an archive whose directories give another compression, flag or size."""
    offsets = {"flags": (6, 8, "<H"), "compression": (8, 10, "<H"), "size": (22, 24, "<I")}
    local, central, form = offsets[field]
    after = bytearray(content)
    for mark, offset in ((b"PK\x03\x04", local), (b"PK\x01\x02", central)):
        place = after.find(mark)
        struct.pack_into(form, after, place + offset, value)
    return bytes(after)


def _other_archives() -> list[bytes]:
    made = []
    for name, text in (("classes.npy", b"x"), ("../evil0.npy", b"x"), ("x", b"")):
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w") as archive:
            archive.writestr(name, text)
        made.append(stream.getvalue())
    stream = io.BytesIO()
    np.save(stream, np.zeros(3))
    return [*made, stream.getvalue(), b"PK\x05\x06" + bytes(18), b"x"]
