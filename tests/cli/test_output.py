"""What is printed on consoles of any kind, and what becomes of a result if nothing can be."""

import io
import os
import pathlib
import subprocess
import sys

import click
import pytest

from keras_selectscale.cli import compare
from keras_selectscale.cli.group import cli, run
from keras_selectscale.layers.methods import METHODS

ROOT = pathlib.Path(__file__).resolve().parents[2]
SUMMARY = {
    "recipe": {
        "network": "resnet-8",
        "dataset": "folder:x[/]y:smile:",
        "epochs": 1,
        "precision": "float32",
    },
    "seeds": [0, 1],
    "train_images": 20,
    "test_images": 10,
    "methods": {
        name: {"title": method.title, "mean": 9.0, "standard_deviation": 1.0}
        for name, method in METHODS.items()
    },
    "limits": "[/]",
    "best_run": "none-seed0",
    "export": {"passed": False, "reasons": ["[/red]"]},
}


@pytest.fixture
def printed(monkeypatch):
    """Returns a function that runs arguments on a console of an encoding: status and output."""

    def call(encoding, *arguments, group=cli):
        stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
        monkeypatch.setattr(sys, "stdout", stream)
        status = run(group, [str(argument) for argument in arguments])
        stream.flush()
        return status, stream.buffer.getvalue().decode(encoding)

    return call


@click.group()
def group():
    pass


@group.command("compare")
@click.argument("path", type=click.Path(path_type=pathlib.Path))
def printing(path):
    compare._print_summary(SUMMARY, path)


@pytest.mark.parametrize("encoding", ["ascii", "cp866", "latin-1", "utf-8"])
def test_tables_and_help_on_any_console(printed, encoding):
    status, out = printed(encoding, "list", "recipes")
    assert status == 0
    assert ("4.24 ± 0.05" if encoding in ("latin-1", "utf-8") else "4.24 +- 0.05") in out
    status, out = printed(encoding, "train", "--help")
    assert status == 0 and ("…" if encoding == "utf-8" else "...") in out


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_names_are_not_markup(printed, encoding):
    status, out = printed(encoding, "compare", "runs/c[b]", group=group)
    assert status == 0
    assert "resnet-8 on folder:x[/]y:smile:: 20 training" in out
    assert "\n[/]\n" in out and "'[/red]'" in out
    assert "runs/c[b]/comparison.json" in out


def test_control_characters_of_a_name_are_not_printed(capsys):
    assert run(cli, ["evaluate", "a\x1b]0;title\x07b"]) == 2
    assert "\x1b" not in capsys.readouterr().err


class Full(io.StringIO):
    def write(self, text):
        raise OSError(28, "No space left on device")


def test_a_full_device_is_one_line_and_status_1(monkeypatch, capsys):
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", Full())
        assert run(cli, ["list", "drops"]) == 1
    expected = "standard output cannot be written: [Errno 28] No space left on device\n"
    assert capsys.readouterr().err == f"keras-selectscale: {expected}"
    monkeypatch.setattr(sys, "stderr", Full())
    assert run(cli, ["train", "--network", "resnet-9", "--run", "x"]) == 2


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="a POSIX shell")
def test_standard_error_is_closed(tmp_path):
    code = (
        "import atexit, os, sys; sys.argv[0] = 'keras-selectscale'\n"
        "atexit.register(lambda: print(os.fstat(2).st_rdev == os.stat(os.devnull).st_rdev))\n"
        "from keras_selectscale.cli import main; main()"
    )
    done = subprocess.run(
        ["bash", "-c", '"$0" -c "$1" list drops 2>&-', sys.executable, code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0 and "SelectScale" in done.stdout
    assert done.stdout.endswith("\nTrue\n")  # Nothing else has become standard error.
