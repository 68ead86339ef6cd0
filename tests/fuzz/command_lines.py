"""Command lines with bad and cheap options, in this process."""

import contextlib
import functools
import io
import os
import pathlib
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import sklearn.datasets
from hypothesis import strategies as st

from keras_selectscale import models
from keras_selectscale.cli.group import cli, run
from tests.fuzz.values import shown
from tests.fuzz.verdict import Case, CommandFailed


class Reached(BaseException):
    """The command line is accepted: what follows would take long."""


def _reached(*args: Any, **kwargs: Any) -> Any:
    raise Reached


# What a command does after its checks.
WORK = (
    "keras_selectscale.training.train",
    "keras_selectscale.experiments.run_comparison",
    "keras_selectscale.experiments.run_reproduction",
    "keras_selectscale.benchmarking.run_bench",
    "keras_selectscale.benchmarking.scale.run_scale",
    "keras_selectscale.cli.bench._measure_in_process",
    "keras_selectscale.tuning.run_search",
    "keras_selectscale.tuning.run_workers",
    "keras_selectscale.exporting.export",
    "keras_selectscale.experiments.drops_at_test_time.measure",
    "keras_selectscale.surgery.class_activation.ClassActivation",
)
STARTS = (
    "train", "compare", "reproduce", "evaluate", "export", "tune", "figure", "cam", "history",
    "results",
)  # fmt: skip
# What takes most of the time of an accepted line, and returns the same each time.
KEPT = {
    "keras_selectscale.models.build": functools.cache(models.build),
    "sklearn.datasets.load_digits": functools.cache(sklearn.datasets.load_digits),
}
GOOD = {
    "--network": ("resnet-8",),
    "--dataset": ("digits",),
    "--data-dir": (".", "d"),
    "--train-size": ("40",),
    "--image-size": ("8",),
    "--drop": ("none", "selectscale", "selectout", "drop-path"),
    "--top-rate": ("0.2", "1"),
    "--retaining-rate": ("0.5", "0.9"),
    "--score": ("max", "average_pool"),
    "--curriculum": ("none", "linear"),
    "--epochs": ("1",),
    "--batch-size": ("32",),
    "--learning-rate": ("0.1",),
    "--schedule": ("step", "cosine"),
    "--weight-decay": ("0", "5e-4"),
    "--seed": ("0", "7"),
    "--precision": ("float32",),
    "--jit": ("auto", "off"),
    "--checkpoint-seconds": ("0", "5"),
    "--run": ("r",),
    "--runs-dir": ("runs", "."),
    "--methods": ("selectscale", "none,selectscale"),
    "--seeds": ("1", "3"),
    "--runs": ("1",),
    "--top-rates": ("0.1,0.5",),
    "--retaining-rates": ("0.5", "0.5,0.9"),
    "--tuner": ("random", "grid"),
    "--trials": ("2",),
    "--early-stopping": ("1",),
    "--validation-share": ("0.2",),
    "--dir": ("s",),
    "--format": ("keras",),
    "--out": ("o",),
    "--rounds": ("1",),
    "--shapes": ("2x4x4x3",),
    "--networks": ("resnet-8",),
    "--modes": ("graph",),
    "--backends": ("tensorflow",),
    "--precisions": ("float32",),
    "--step-methods": ("selectscale",),
    "--seconds": ("0.01",),
    "--distribute": ("none", "mirrored"),
    "--steps-per-dispatch": ("1",),
    "--wait": ("600",),
    "--out-dir": ("b",),
    "--json": ("j.json",),
    "--figure": ("f.png",),
    "--images": ("2", "0,1"),
    "--rates": ("0.9", "0.98,0.5"),
    "--selectout-top-rate": ("0.5",),
    "--draws": ("1",),
    "--measure": ("0", "9"),
    "--stop-after": ("90s", "1.5h"),
    "--of-labels": (),
}
FLAGS = (
    "--overwrite",
    "--figure4",
    "--no-resume",
    "--quick",
    "--no-memory",
    "--no-safe-mode",
    "--of-labels",
)
OPTIONS = {
    "train": """--network --dataset --data-dir --train-size --image-size --drop --top-rate
        --retaining-rate --score --curriculum --epochs --batch-size --learning-rate --schedule
        --weight-decay --seed --precision --jit --checkpoint-seconds --run --runs-dir --distribute
        --steps-per-dispatch""",
    "compare": """--network --dataset --data-dir --train-size --image-size --methods --seeds
        --epochs --batch-size --learning-rate --precision --jit --run --runs-dir""",
    "reproduce": """--runs --epochs --train-size --precision --jit --data-dir --runs-dir
        --distribute --steps-per-dispatch""",
    "evaluate": "--data-dir --runs-dir",
    "export": "--format --out --overwrite --no-safe-mode --runs-dir",
    "tune": """--network --dataset --data-dir --train-size --image-size --methods --top-rates
        --retaining-rates --tuner --trials --figure4 --epochs --seeds --early-stopping
        --validation-share --batch-size --learning-rate --schedule --weight-decay --seed
        --precision --jit --wait --no-resume --dir""",
    "bench": """--methods --shapes --precisions --networks --step-methods --batch-size --modes
        --rounds --seconds --backends --seed --quick --no-memory""",
    "list": "",
    "tune report": "",
    "figure 3": """--dataset --data-dir --runs-dir --images --rates --methods --top-rate
        --selectout-top-rate --draws --seed --precision --out --stop-after""",
    "cam": """--dataset --data-dir --runs-dir --images --epochs --of-labels --measure
        --precision --out""",
    "history": "--runs-dir --out",
    "figure 4": "--top-rate --retaining-rate --out",
    "figure": "",
    "results": "--format --out --figure --runs-dir",
}
REQUIRED = {
    "train": ("--network", "--run", "--train-size", "--precision", "--jit"),
    "tune": ("--network", "--dir", "--train-size", "--precision", "--jit"),
    "compare": ("--precision", "--train-size", "--jit"),
    "figure 3": ("--dataset",),
    "cam": ("--dataset",),
}
FOLDERS = (
    "runs/r", "runs", ".", "file", "loop", "x[y]", "~nouser", "", "\ud800", "é" * 300
)  # fmt: skip
ARGUMENTS = {
    "evaluate": ("r", "runs/r"),
    "export": ("r", "runs/r"),
    "reproduce": ("table1/resnet-20/none", "table1"),
    "bench": ("layers", "steps", "all"),
    "list": ("drops", "networks", "datasets", "recipes", "formats"),
    "tune report": ("s", "."),
    "figure 3": ("runs/r", "n.keras", "file.keras"),
    "cam": ("runs/r", "n.keras", "file.keras"),
    "history": ("r", "runs/r"),
    "figure 4": FOLDERS,
    "results": FOLDERS,
}
# Folders that are searched however deep they are: no other ones.
SEARCHED = ("figure 4", "results")
BAD = (
    "", " ", "x", "-1", "0", "1", "2", "0.5", "1.5", "-0.5", "1e30", "1e999", "nan", "inf", "-inf",
    "9" * 30, "9" * 5000, "1_0", "١", "0x10", "none", "None", "auto", "[/]", "[red]x[/red]", "a\nb",
    "~nouser", "~nouser/x", "../x", "/", ".", "..", "/dev/null", "/dev/full", "/proc/self/x", "-x",
    "--", "é" * 300, "x" * 300, "\ud800", "a,b", ",", "1,1", "1,x", "resnet-50", "resnet-9",
    "resnet-6000002", "wrn-8-99999999", "resnet-" + "9" * 5000, "resnext-29-99999x64d", "vgg-17",
    "folder:", "folder:x[/]y", "folder:~nouser", "folder:file", "folder:loop", "folder:.",
    "tfds:", "tfds:x", "tfds:../x", "packed:", "packed:x", "packed:../x", "cifar10", "imagenet",
    "file", "loop", "loop/x", "file/x", "locked", "b[c]", "c]d", "table9", "table1/", "{}", "%s",
    "$HOME", "*", "0,0.5", "2x4x4", "0x0x0x0", "99999x99999x99999x9", "selectscale,selectscale",
    "tensorflow,jax", "mirrored", "data", "h[x]:1",
)  # fmt: skip


@contextlib.contextmanager
def no_work() -> Iterator[None]:
    """Replaces what commands do after their checks."""
    with contextlib.ExitStack() as stack:
        for name in WORK:
            module = name.rpartition(".")[0]
            __import__(module)
            stack.enter_context(mock.patch(name, _reached))
        for command in STARTS:
            name = f"keras_selectscale.cli.{command}.start_keras"
            __import__(f"keras_selectscale.cli.{command}")
            stack.enter_context(mock.patch(name, lambda: None))
        for name, function in KEPT.items():
            stack.enter_context(mock.patch(name, function))
        yield


def call(arguments: list[str], environment: dict[str, str] | None = None) -> Callable[[], None]:
    """Returns what runs a command line and raises `CommandFailed` if it fails."""

    def act() -> None:
        out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.TextIOWrapper(io.BytesIO(), "utf-8")
        with (
            mock.patch.dict(os.environ, environment or {}),
            mock.patch.object(sys, "stdout", out),
            mock.patch.object(sys, "stderr", err),
            no_work(),
        ):
            try:
                status = run(cli, arguments)
            except Reached:
                return
        err.flush()
        lines = err.buffer.getvalue().decode("utf-8", "replace")
        if status:
            raise CommandFailed(status, lines)

    return act


@functools.cache
def _network() -> bytes:
    model = models.build("resnet-8", input_shape=(8, 8, 1), classes=10)
    with tempfile.TemporaryDirectory() as folder:
        model.save(pathlib.Path(folder, "n.keras"))
        return pathlib.Path(folder, "n.keras").read_bytes()


def _furnish() -> None:
    pathlib.Path("file").write_text("x")
    pathlib.Path("file.keras").write_text("x")
    pathlib.Path("loop").symlink_to("loop")


@st.composite
def cases(draw: Any) -> Case:
    """Draws a command line."""
    command = draw(st.sampled_from(["train"] * 4 + ["tune"] * 3 + ["compare"] * 2 + [*OPTIONS]))
    options = OPTIONS[command].split()
    chosen = draw(st.lists(st.sampled_from(options), max_size=4, unique=True)) if options else []
    bad = draw(st.lists(st.sampled_from(options), max_size=2, unique=True)) if options else []
    arguments = command.split()
    names = []
    values = st.one_of(st.sampled_from(BAD), st.sampled_from(BAD), st.text(max_size=6))
    for name in dict.fromkeys([*REQUIRED.get(command, ()), *chosen, *bad]):
        names.append(name.removeprefix("--").removeprefix("no-"))
        if name in FLAGS or (command, name) == ("cam", "--epochs"):
            arguments.append(name)
        else:
            value = draw(values) if name in bad else draw(st.sampled_from(GOOD[name]))
            arguments += [name, value.replace("\0", "")]
    if command in ARGUMENTS:
        usual = st.sampled_from(ARGUMENTS[command])
        argument = draw(usual if command in SEARCHED else st.one_of(usual, values))
        arguments.append(argument.replace("\0", ""))
    if draw(st.integers(0, 25)) == 0:
        arguments.append(draw(st.sampled_from(["extra", "--nothing", "--nothing=1", "-q"])))
    environment = {}
    if draw(st.integers(0, 15)) == 0:
        environment["TFDS_DATA_DIR"] = draw(st.sampled_from(["~nouser", "file", "loop", "x[/]"]))

    def act() -> None:
        _furnish()
        if "n.keras" in arguments:
            pathlib.Path("n.keras").write_bytes(_network())
        call(arguments, environment)()

    text = " ".join(shown(each) for each in arguments)
    text += f" {environment}" if environment else ""
    # A message names the option, or what is named by it: the run, the dataset, the folder.
    return Case(f"{command}({text})", act, (*names, *NAMED, *_short(arguments[1:])))


NAMED = (
    "Missing",
    "Dataset",
    "run",
    "name",
    "Invalid value",
    "No such",
    "Got unexpected",
    "TFDS_DATA_DIR",
)


def _short(values: list[str]) -> list[str]:
    return [value for value in values if 2 < len(value) < 100]
