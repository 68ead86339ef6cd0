"""The path of a machine with JAX and no TensorFlow: packed images, many steps a dispatch."""

import dataclasses
import importlib.metadata
import json
import os
import pathlib
import re
import subprocess
import sys

import pytest

from keras_selectscale import data

pytestmark = pytest.mark.slow

ROOT = pathlib.Path(__file__).parents[2]
# What such a machine has beside the package; no TensorFlow, no datasets, no scikit-learn.
ROOTS = ("jax", "keras", "click", "rich", "filelock", "msgspec")


@pytest.fixture
def bare(tmp_path):
    """Returns a folder that holds what `ROOTS` and their requirements install, and no more."""
    folder = tmp_path / "installed"
    folder.mkdir()
    waiting, seen = list(ROOTS), set()
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name in seen:
            continue
        seen.add(name)
        try:
            found = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # For another platform.
        for requirement in found.requires or ():
            if "extra ==" not in requirement:
                waiting.append(re.match(r"[\w.-]+", requirement)[0])
        for top in {file.parts[0] for file in found.files or () if file.parts[0] != ".."}:
            link = folder / top
            if not link.exists():
                link.symlink_to(found.locate_file(top))
    (folder / "keras_selectscale").symlink_to(ROOT / "keras_selectscale")
    return folder


def run(bare, *arguments):
    code = "import sys; from keras_selectscale.cli import main; main()"
    return subprocess.run(
        # Without `site`, so that no other package of this environment is found.
        [sys.executable, "-S", "-c", code, *map(str, arguments)],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(bare),
            "KERAS_BACKEND": "jax",
            "JAX_PLATFORMS": "cpu",
        },
        capture_output=True,
        text=True,
        timeout=400,
    )


def test_a_run_trains_and_is_evaluated_there(bare, tmp_path):
    pytest.importorskip("jax")
    digits = data.load("digits", train_size=512)
    data.pack(dataclasses.replace(digits, name="cifar10"), tmp_path / "data")
    options = ["--data-dir", tmp_path / "data", "--runs-dir", tmp_path / "runs"]
    done = run(
        bare,
        *["train", "--network", "resnet-8", "--dataset", "cifar10", "--drop", "selectscale"],
        *["--precision", "mixed_bfloat16", "--steps-per-dispatch", 3, "--epochs", 2],
        *["--run", "there", *options],
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "there: done, 2 epochs" in done.stdout
    config = json.loads((tmp_path / "runs" / "there" / "config.json").read_text())
    assert "tensorflow" not in config["environment"]["packages"]
    assert config["environment"]["packages"]["jax"]
    history = (tmp_path / "runs" / "there" / "history.csv").read_text().splitlines()
    assert len(history) == 3
    tested = run(bare, "evaluate", "there", *options)
    assert tested.returncode == 0, tested.stderr[-3000:]
    result = json.loads((tmp_path / "runs" / "there" / "result.json").read_text())
    assert f"test error {result['test_error']:.2f}%" in tested.stdout


def test_what_is_missing_is_said_in_a_line(bare, tmp_path):
    pytest.importorskip("jax")
    done = run(
        bare,
        *["train", "--network", "resnet-8", "--dataset", "digits", "--run", "there"],
        *["--runs-dir", tmp_path / "runs"],
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and "package sklearn" in done.stderr
