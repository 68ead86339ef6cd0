"""Run folders in which a file is damaged."""

import functools
import pathlib
import shutil
import tempfile
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

from keras_selectscale.experiments.trained_network import load_network
from keras_selectscale.surgery.class_activation import ActivationMaps
from keras_selectscale.surgery.map_history import KeptMaps, write_maps
from keras_selectscale.training import RunFolder, checkpoints, load_checkpoint
from tests.fuzz import command_lines
from tests.fuzz.damage import TEXTS, damaged_archive, damaged_bytes, damaged_json, in_place, writing
from tests.fuzz.values import shown
from tests.fuzz.verdict import Case

RUNS = pathlib.Path(__file__).resolve().parents[1] / "training" / "old_runs"
FINISHED, KILLED = "tensorflow-finished", "tensorflow-killed"
MAPS = "maps.npz"
FILES = ("config.json", "result.json", "history.csv", "checkpoint.keras")
TRAIN = (
    "train --network resnet-8 --dataset digits --drop selectscale --top-rate 0.2 "
    "--retaining-rate 0.4 --curriculum linear --epochs 3 --batch-size 64 --train-size 200 "
    "--precision float32 --jit auto --seed 3 --run r"
).split()


def readers() -> dict[str, Callable[[], Any]]:
    """Returns what reads the run folder `runs/r`, by name."""

    def folder() -> RunFolder:
        return RunFolder("runs/r")

    def state() -> None:
        checkpoints.read_state(folder().checkpoint_path, folder().recipe())

    return {
        "config": lambda: folder().read_config(),
        "recipe": lambda: folder().recipe(),
        "jit": lambda: folder().read_jit(),
        "result": lambda: folder().read_result(),
        "history": lambda: folder().read_history(),
        "state": state,
        "epochs": lambda: checkpoints.epochs_done(folder()),
        "load": lambda: load_checkpoint(folder()),
        "network": lambda: load_network("runs/r"),
        "curves": command_lines.call(["history", "r"]),
        "maps": command_lines.call(["cam", "r", "--epochs"]),
        "results": command_lines.call(["results"]),
        "figure 4": command_lines.call(["figure", "4", "runs", "--retaining-rate", "0.4"]),
        "open": lambda: folder().open(RunFolder(RUNS / FINISHED).recipe()),
        "train": command_lines.call(TRAIN),
        "evaluate": command_lines.call(["evaluate", "runs/r"]),
        "export": command_lines.call(["export", "r"]),
    }


@functools.cache
def _maps() -> bytes:
    """Returns the maps of two images after two epochs, which the runs do not have."""
    rng = np.random.default_rng(0)
    found = ActivationMaps(rng.normal(size=(2, 3, 4)), np.arange(2), rng.uniform(size=2))
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, MAPS)
        kept = KeptMaps({1: found, 12: found}, rng.uniform(size=(2, 6, 8, 1)), ["cat", "dog"])
        write_maps(path, kept)
        return path.read_bytes()


@functools.cache
def content(run: str, name: str) -> bytes:
    """Returns a file of a run, or of its checkpoint."""
    if name == MAPS:
        return _maps()
    file, _, entry = name.partition("!")
    if not entry:
        return (RUNS / run / file).read_bytes()
    with zipfile.ZipFile(RUNS / run / file) as archive:
        return archive.read(entry)


def _replace_entry(path: pathlib.Path, entry: str, data: bytes) -> None:
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, before in entries.items():
            archive.writestr(name, data if name == entry else before)


@st.composite
def cases(draw: Any) -> Case:
    """Draws a damaged file of a run and what reads it."""
    run = draw(st.sampled_from([FINISHED, KILLED]))
    files = [name for name in FILES if name != "result.json" or run == FINISHED]
    entries = ["checkpoint.keras!run.json"] * 3 + ["checkpoint.keras!metadata.json"]
    name = draw(st.sampled_from([*files, "config.json", *entries, MAPS]))
    file, _, entry = name.partition("!")
    whole = content(run, name)
    kind = draw(st.sampled_from(["content"] * 7 + ["place"]))
    if kind == "place" and not entry:
        text, act = draw(in_place())
    elif name.endswith(".json"):
        text, data = draw(damaged_json(whole))
        act = (lambda path: _replace_entry(path, entry, data)) if entry else writing(data)
    elif name == "history.csv" and draw(st.booleans()):
        data = draw(st.sampled_from([*TEXTS, *ROWS]))
        text, act = f"all by {shown(data)}", writing(data)
    elif name == MAPS and draw(st.booleans()):
        text, data = draw(damaged_archive(whole))
        act = writing(data)
    else:
        text, data = draw(damaged_bytes(whole))
        act = writing(data)
    reader = "maps" if name == MAPS else draw(st.sampled_from([*CHEAP, *CHEAP, *COSTLY]))

    def call() -> None:
        shutil.copytree(RUNS / run, "runs/r")
        pathlib.Path("runs/r", MAPS).write_bytes(_maps())
        act(pathlib.Path("runs/r") / file)
        readers()[reader]()

    return Case(f"{reader}({run}, {name}: {text})", call, (file, *FORMS))


FORMS = (
    "is not the folder of a run",
    "runs/r exists and is not",
    "runs/r holds a run of another recipe",
    "runs/r has no checkpoint yet",
    "no run was found in runs",
    "runs: no finished run or trial of SelectScale",
    "checkpoint.keras is damaged: it is the checkpoint of another recipe",
)
CHEAP = ("config", "recipe", "jit", "result", "history", "state", "epochs", "open")
COSTLY = (
    "load", "network", "curves", "train", "evaluate", "export", "maps", "results", "figure 4"
)  # fmt: skip
HEAD = b"epoch,loss,accuracy,learning_rate\n"
ROWS = (
    HEAD, HEAD + b"1,2", HEAD + b"1,nan,0.5,0.1\n", HEAD + b"x,1,1,1\n", HEAD + b"1,1,1,1,1,1\n",
    HEAD + b'1,"2', HEAD + b"\0", b"epoch\n1\n", HEAD + b"1e999,1,1,1\n", HEAD + b"\n\n",
    HEAD + b"9" * 200_000 + b",1,1,1\n",
)  # fmt: skip
