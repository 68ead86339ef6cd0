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


# For what is the same on every backend: it is imported in half of TensorFlow's time.
QUICK = "jax" if importlib.util.find_spec("jax") else "tensorflow"


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


def test_the_ground_floor_needs_no_keras():
    code = "import sys; from keras_selectscale import checks, environment, files; "
    assert "False" in output(code + "print('keras' in sys.modules)")


def test_the_package_alone_loads_no_other_package():
    loaded = set(eval(output(IMPORT.format("keras_selectscale"))))
    bare = set(eval(output("import sys; print(sorted(sys.modules))")))
    assert loaded - bare - set(sys.stdlib_module_names) == {"keras_selectscale"}


REGISTERED = """
for name in ('SelectScale', 'DropPath', 'CoupledSGD'):
    assert keras.saving.get_registered_object('keras_selectscale>' + name), name
"""


@pytest.mark.parametrize("backend", [pytest.param("tensorflow", marks=pytest.mark.slow), "jax"])
def test_the_classes_are_registered_whichever_is_imported_first(backend):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    keras, and_ours = output(
        IMPORT.format("keras") + "\nimport keras_selectscale" + REGISTERED + IMPORT.format("keras"),
        backend,
    ).splitlines()
    ours_first = output(
        "import keras_selectscale, keras" + REGISTERED + IMPORT.format("keras"), backend
    )
    for loaded in (and_ours, ours_first):
        others = set(eval(loaded)) - set(eval(keras)) - set(sys.stdlib_module_names)
        assert others == {"keras_selectscale"}


@pytest.mark.parametrize("name", ["layers.feature_drop", "optimizers", "training"])
def test_any_part_may_be_imported_first(name):
    code = f"import keras_selectscale.{name} as part, keras_selectscale, keras; print(part)"
    code += "; assert keras.saving.get_registered_object('keras_selectscale>SelectScale')"
    code += "; assert keras.saving.get_registered_object('keras_selectscale>CoupledSGD')"
    assert "module" in output(code, QUICK)


def test_the_public_names_are_those_of_dir_and_nothing_else():
    code = """
import keras_selectscale as ks
names = dir(ks)
assert all(not name.startswith("_") for name in names if name != "__version__"), names
for name in names:
    getattr(ks, name)
assert {"data", "exporting", "SelectScale", "DropBlock", "insert_drops"} <= set(names)
assert not {"importlib", "sys", "typing", "keras", "registration"} & set(names), names
scope = {}
exec("from keras_selectscale import *", scope)
assert set(names) <= set(scope) and scope["SelectScale"] is ks.layers.SelectScale
try:
    ks.nothing
except AttributeError as error:
    print(error)
    assert error.name == "nothing" and error.obj is ks  # Python suggests a similar name.
"""
    assert "module 'keras_selectscale' has no attribute 'nothing'" in output(code, QUICK)


def test_the_package_runs_as_a_module():
    done = subprocess.run(
        [sys.executable, "-m", "keras_selectscale", "--version"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0 and done.stdout.startswith("keras-selectscale, version")
