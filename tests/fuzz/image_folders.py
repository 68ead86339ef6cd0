"""Folders of images in which files and folders are not what they should be."""

import functools
import io
import os
import pathlib
import struct
import zlib
from typing import Any

from hypothesis import strategies as st
from PIL import Image

from keras_selectscale import data
from tests.data.folders import encode, picture
from tests.fuzz import command_lines
from tests.fuzz.damage import damaged_bytes, in_place, writing
from tests.fuzz.verdict import Case

FORMS = ("PNG", "JPEG", "BMP", "GIF")
OTHER_FORMS = ("TIFF", "WEBP", "PPM", "ICO", "EPS", "PDF", "TGA", "PCX")
PARTS = ("train/a", "train/b", "test/a", "test/b")


@functools.cache
def image(form: str, height: int = 8, width: int = 8, channels: int = 3, number: int = 0) -> bytes:
    """Returns an image as a file."""
    return encode(picture(number, height, width, channels), form)


@functools.cache
def odd_images() -> dict[str, bytes]:
    """Returns files that are no usual image, by what they are."""
    made: dict[str, bytes] = {"text": b"hello", "html": b"<html>", "zeros": bytes(100)}
    for form in OTHER_FORMS:
        try:
            made[form] = image(form)
        except Exception:  # Pillow was built without it.
            continue
    for mode in ("1", "L", "LA", "P", "RGBA", "I", "I;16", "F", "CMYK"):
        for form in ("PNG", "JPEG", "GIF", "BMP"):
            stream = io.BytesIO()
            try:
                Image.new(mode, (8, 8)).save(stream, form)
            except Exception:
                continue
            made[f"{form} of mode {mode}"] = stream.getvalue()
    for height, width in ((13000, 13000), (2**31 - 1, 1), (0, 8), (2**31, 2**31), (1, 1)):
        header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
        chunk = b"IHDR" + header
        made[f"PNG of {height} x {width}"] = (
            b"\x89PNG\r\n\x1a\n\0\0\0\r" + chunk + struct.pack(">I", zlib.crc32(chunk))
        )
        made[f"GIF of {height} x {width}"] = b"GIF89a" + struct.pack(
            "<HH", width % 65536, height % 65536
        )
        size = struct.pack("<II", width % 2**32, height % 2**32)
        made[f"BMP of {height} x {width}"] = image("BMP")[:18] + size + image("BMP")[26:]
    frames = [Image.fromarray(picture(n, 8, 8)) for n in range(3)]
    for form in ("GIF", "PNG"):
        stream = io.BytesIO()
        frames[0].save(stream, form, save_all=True, append_images=frames[1:])
        made[f"animated {form}"] = stream.getvalue()
    made["JPEG of another size"] = image("JPEG", 300, 5)
    return made


def _outside(kind: str) -> None:
    """Changes something besides one image."""
    part = pathlib.Path("f/train/b")
    if kind == "no class":
        for file in part.iterdir():
            file.unlink()
        part.rmdir()
    elif kind == "empty class":
        for file in part.iterdir():
            file.unlink()
    elif kind == "class is a file":
        _outside("no class")
        part.write_text("x")
    elif kind == "class is a loop":
        _outside("no class")
        part.symlink_to("b")
    elif kind == "another class":
        os.rename(part, "f/train/c")
    elif kind == "no test":
        os.rename("f/test", "f/tests")
    elif kind == "no folder":
        os.rename("f", "g")
    elif kind == "folder is a file":
        os.rename("f", "g")
        pathlib.Path("f").write_text("x")
    elif kind == "folder is a loop":
        os.rename("f", "g")
        pathlib.Path("f").symlink_to("f")
    elif kind == "a folder called .png":
        (part / "x.png").mkdir()
    elif kind == "odd names":
        (part / "a\nb[/].png").write_bytes(b"x")
    elif kind == "bytes in a name":
        (pathlib.Path(os.fsdecode(b"f/train/b/\xff.png"))).write_bytes(b"x")
    elif kind == "bytes in a class":
        (pathlib.Path(os.fsdecode(b"f/train/\xff"))).mkdir()
    elif kind == "the working folder is gone":
        path = pathlib.Path("gone").absolute()
        path.mkdir()
        os.chdir(path)
        path.rmdir()


OUTSIDE = (
    "no class", "empty class", "class is a file", "class is a loop", "another class", "no test",
    "no folder", "folder is a file", "folder is a loop", "a folder called .png", "odd names",
    "bytes in a name", "bytes in a class", "the working folder is gone",
)  # fmt: skip


@st.composite
def cases(draw: Any) -> Case:
    """Draws a folder of images with a damaged file."""
    form = draw(st.sampled_from(FORMS))
    channels = draw(st.sampled_from([1, 3]))
    part = draw(st.sampled_from(PARTS))
    name = f"{part}/0.{form.lower()}"
    kind = draw(st.sampled_from(["bytes"] * 4 + ["odd"] * 4 + ["place", "outside", "outside"]))
    outside = ""
    if kind == "bytes":
        text, after = draw(damaged_bytes(image(form, channels=channels)))
        act = writing(after)
    elif kind == "odd":
        text = draw(st.sampled_from(sorted(odd_images())))
        act = writing(odd_images()[text])
    elif kind == "place":
        text, act = draw(in_place())
    else:
        outside = text = draw(st.sampled_from(OUTSIDE))
    how = draw(st.sampled_from(["load", "load", "load", "small", "batch", "train"]))

    def call() -> None:
        for number, each in enumerate(PARTS):
            folder = pathlib.Path("f", each)
            folder.mkdir(parents=True)
            for index in range(2):
                content = image(form, channels=channels, number=2 * number + index)
                (folder / f"{index}.{form.lower()}").write_bytes(content)
        if outside:
            _outside(outside)
        else:
            act(pathlib.Path("f", name))
        if how == "train":
            command_lines.call(
                "train --network resnet-8 --dataset folder:f --run r --epochs 1 "
                "--precision float32 --jit auto".split()
            )()
            return
        found = data.load("folder:f", image_size=5 if how == "small" else None)
        if how == "batch":
            next(iter(data.evaluation_batches(found, batch_size=8, split="train")))
            next(iter(data.evaluation_batches(found, batch_size=8)))
            next(iter(data.training_batches(found, batch_size=4, seed=0)))

    names = ("dataset", "folder:f", "f/train", "f/test", "working directory", "f/train/b/")
    return Case(f"{how}({form} of {channels}, {name}: {text})", call, (name, *names))
