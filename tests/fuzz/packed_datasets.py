"""Packed datasets in which a file is damaged."""

import functools
import pathlib
import tempfile
from typing import Any

import numpy as np
from hypothesis import strategies as st

from keras_selectscale import data
from keras_selectscale.data.image_data import in_memory
from tests.fuzz import command_lines
from tests.fuzz.damage import damaged_archive, damaged_bytes, in_place, writing
from tests.fuzz.verdict import Case


@functools.cache
def packed() -> dict[str, bytes]:
    """Returns the files of a small packed dataset of two parts."""
    rng = np.random.default_rng(1)
    images, labels = rng.integers(0, 256, (20, 8, 8, 1), dtype=np.uint8), np.arange(20) % 3
    made = in_memory("digits", (images, labels), (images[:9], labels[:9]), 3, "abc")
    with tempfile.TemporaryDirectory() as folder:
        files = data.pack(made, folder, name="x")
        return {file.name: file.read_bytes() for file in files}


@st.composite
def cases(draw: Any) -> Case:
    """Draws a damaged file of a packed dataset."""
    name = draw(st.sampled_from(sorted(packed())))
    content = packed()[name]
    kind = draw(st.sampled_from(["bytes"] * 4 + ["archive"] * 9 + ["place"]))
    if kind == "place":
        text, act = draw(in_place())
    else:
        text, after = draw((damaged_bytes if kind == "bytes" else damaged_archive)(content))
        act = writing(after)
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
