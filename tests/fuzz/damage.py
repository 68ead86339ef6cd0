"""Damage to JSON and to bytes."""

import copy
import json
import pathlib
import shutil
from collections.abc import Callable
from typing import Any

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
    kind = draw(st.sampled_from(["missing", "a folder", "a loop", "a dangling link"]))

    def act(path: pathlib.Path) -> None:
        path.unlink(missing_ok=True) if not path.is_dir() else shutil.rmtree(path)
        if kind == "a folder":
            path.mkdir()
        elif kind == "a loop":
            path.symlink_to(path.name)
        elif kind == "a dangling link":
            path.symlink_to("nowhere")

    return kind, act


def writing(content: bytes) -> Callable[[pathlib.Path], None]:
    """Returns what writes bytes in place of a file."""

    def act(path: pathlib.Path) -> None:
        path.write_bytes(content)

    return act
