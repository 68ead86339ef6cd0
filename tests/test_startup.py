"""What is loaded at the start, in processes of their own: the time is that of these modules."""

import importlib.util
import os
import pathlib
import subprocess
import sys

import pytest

from keras_selectscale.cli.group import COMMANDS

ROOT = pathlib.Path(__file__).resolve().parents[1]
# The helps of all commands one after the other, and what each has loaded by then.
HELPS = """
import sys
sys.argv[0] = "keras-selectscale"
from keras_selectscale.cli.group import COMMANDS, cli, run
kept = sys.stdout
for arguments in ([], *([name] for name in COMMANDS), ["tune", "report"]):
    assert run(cli, [*arguments, "--help"]) == 0
    packages = {name.partition(".")[0] for name in sys.modules}
    print("LOADED", *arguments, sorted(packages & set(%r)))
"""
IMPORT = "import sys, {}; print(sorted({{name.partition('.')[0] for name in sys.modules}}))"
HEAVY = ("keras", "tensorflow", "jax", "torch", "numpy", "sklearn", "scipy", "matplotlib", "rich",
         "keras_tuner", "tensorflow_datasets", "PIL")  # fmt: skip


def output(code, backend="tensorflow"):
    environment = {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_helps_of_all_commands_load_no_heavy_package():
    lines = [line for line in output(HELPS % (HEAVY,)).splitlines() if line.startswith("LOADED")]
    wanted = ["LOADED []", *(f"LOADED {name} []" for name in COMMANDS), "LOADED tune report []"]
    assert lines == wanted


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_the_package_loads_nothing_beside_itself_that_keras_does_not(backend):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    keras, ours = (
        set(eval(output(IMPORT.format(name), backend))) for name in ("keras", "keras_selectscale")
    )
    assert "keras_selectscale" in ours and "numpy" in keras
    assert ours - keras - set(sys.stdlib_module_names) == {"keras_selectscale"}
