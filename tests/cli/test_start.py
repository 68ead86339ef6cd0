"""The command line in a process of its own, as a shell starts it."""

import importlib
import pathlib
import subprocess
import sys

import pytest

SCRIPT = "import sys; sys.argv[0] = 'keras-selectscale'\n"


def start(tmp_path, code, *arguments):
    return subprocess.run(
        [sys.executable, "-c", SCRIPT + code, *arguments],
        cwd=tmp_path,
        env={"PATH": "", "HOME": str(tmp_path), "PYTHONPATH": _root()},
        capture_output=True,
        text=True,
        timeout=120,
    )


def _root():
    return str(pathlib.Path(__file__).resolve().parents[2])


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["train", "--help"]])
def test_help_starts_no_backend(tmp_path, arguments):
    code = (
        "from keras_selectscale.cli.group import cli, run\n"
        "status = run(cli)\n"
        "print(sorted({'keras', 'tensorflow', 'jax', 'torch', 'sklearn'} & set(sys.modules)))\n"
        "sys.exit(status)"
    )
    done = start(tmp_path, code, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "[]"


def test_an_error_is_the_only_line_on_standard_error(tmp_path):
    code = "from keras_selectscale.cli import main\nmain()"
    done = start(tmp_path, code, "train", "--network", "resnet-9", "--run", "x")
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.count("\n") == 1 and "6n + 2" in done.stderr


@pytest.mark.parametrize("backend", ["nonsense", pytest.param("numpy", marks=pytest.mark.slow)])
def test_a_backend_that_is_not_there_or_trains_nothing_is_one_line(tmp_path, backend):
    code = f"import os; os.environ['KERAS_BACKEND'] = '{backend}'\n"
    done = start(tmp_path, code + "from keras_selectscale.cli import main\nmain()", "list", "drops")
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.count("\n") == 1 and f"KERAS_BACKEND={backend}" in done.stderr


def test_importing_the_module_that_runs_the_command_line_runs_nothing():
    """Tools that document a package import all of its modules."""
    importlib.import_module("keras_selectscale.__main__")
