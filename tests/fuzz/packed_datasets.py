"""Packed datasets in which a file is damaged."""

import functools
import io
import pathlib
import struct
import tempfile
import zipfile
from typing import Any

import numpy as np
from hypothesis import strategies as st

from keras_selectscale import data
from keras_selectscale.data.image_data import in_memory
from tests.fuzz import command_lines
from tests.fuzz.damage import damaged_bytes, in_place, writing
from tests.fuzz.values import shown
from tests.fuzz.verdict import Case

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


@functools.cache
def packed() -> dict[str, bytes]:
    """Returns the files of a small packed dataset of two parts."""
    rng = np.random.default_rng(1)
    images, labels = rng.integers(0, 256, (20, 8, 8, 1), dtype=np.uint8), np.arange(20) % 3
    made = in_memory("digits", (images, labels), (images[:9], labels[:9]), 3)
    with tempfile.TemporaryDirectory() as folder:
        files = data.pack(made, folder, name="x")
        return {file.name: file.read_bytes() for file in files}


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


@st.composite
def cases(draw: Any) -> Case:
    """Draws a damaged file of a packed dataset."""
    name = draw(st.sampled_from(sorted(packed())))
    content = packed()[name]
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        keys = [entry.removesuffix(".npy") for entry in archive.namelist()]
    kind = draw(st.sampled_from(["bytes"] * 4 + ["array"] * 6 + ["zip", "zip", "other", "place"]))
    if kind == "bytes":
        text, after = draw(damaged_bytes(content))
        act = writing(after)
    elif kind == "array":
        key = draw(st.sampled_from(keys))
        array = draw(st.sampled_from([None, *ARRAYS]))
        text = f"{key} by {shown(array)}"
        act = writing(_changed_archive(content, key, array))
    elif kind == "zip":
        field = draw(st.sampled_from(["flags", "compression", "size"]))
        value = draw(st.sampled_from([0, 1, 9, 12, 14, 97, 99, 0x2001, 0xFFFF]))
        text, act = f"{field} {value}", writing(_changed_directory(content, field, value))
    elif kind == "other":
        after = draw(st.sampled_from(_other_archives()))
        text, act = f"all by {shown(after)}", writing(after)
    else:
        text, act = draw(in_place())
    how = draw(st.sampled_from(["load", "load", "load", "subset", "evaluate", "train"]))

    def call() -> None:
        folder = pathlib.Path("d/packed/x")
        folder.mkdir(parents=True)
        for file, whole in packed().items():
            (folder / file).write_bytes(whole)
        act(folder / name)
        if how == "train":
            command_lines.call(
                "train --network resnet-8 --dataset packed:x --data-dir d --run r --epochs 1 "
                "--precision float32 --jit auto".split()
            )()
            return
        size = 6 if how == "subset" else None
        found = data.load("packed:x", data_dir="d", train_size=size)
        if how == "evaluate":
            next(iter(data.evaluation_batches(found, batch_size=4)))
            next(iter(data.training_batches(found, batch_size=4, seed=0)))

    return Case(f"{how}({name}: {text})", call, (name, "d/packed/x"))
