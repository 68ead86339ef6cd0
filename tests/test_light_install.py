"""What works with `pip install keras-selectscale` and one backend, without any extra.

Each test runs in a process in which every package that such an environment lacks cannot be
imported: TensorFlow too on the other backends.
"""

import os
import pathlib
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

ROOT = pathlib.Path(__file__).resolve().parents[1]
BARE = """
import importlib.metadata, re, sys
from packaging.requirements import Requirement

allowed, waiting = set(), ["keras", "numpy", "ml_dtypes", BACKEND]
while waiting:
    name = re.sub("[-_.]+", "-", waiting.pop()).lower()
    if name in allowed:
        continue
    allowed.add(name)
    try:
        required = importlib.metadata.requires(name) or ()
    except importlib.metadata.PackageNotFoundError:
        continue
    none = {"extra": ""}
    needed = map(Requirement, required)
    waiting += [each.name for each in needed if not each.marker or each.marker.evaluate(none)]
for module, owners in importlib.metadata.packages_distributions().items():
    if not {re.sub("[-_.]+", "-", owner).lower() for owner in owners} & allowed:
        if module not in ("keras_selectscale", "_distutils_hack", "pkg_resources"):
            sys.modules.setdefault(module, None)
"""
WORKS = """
import tempfile, keras, numpy as np
import keras_selectscale as ks
drop = ks.SelectScale(top_rate=0.5, retaining_rate=0.0, seed=1)
y = keras.ops.convert_to_numpy(drop(keras.ops.ones((2, 3, 5, 4)), training=True))
assert (y != 1).sum() == 2 * 3 * 5 * 2, y
network = ks.models.build("resnet-8", input_shape=(8, 6, 3), drop=ks.SelectScale(
    top_rate=0.5, retaining_rate=0.0, seed=1))
network.compile("sgd", "sparse_categorical_crossentropy")
network.fit(np.ones((4, 8, 6, 3)), np.zeros(4), verbose=0)
plain = ks.strip_drops(network)
again = ks.insert_drops(plain, ks.DropPath(retaining_rate=0.5))
assert ks.mc_predict(again, np.ones((2, 8, 6, 3), "float32"), samples=2) is not None
with tempfile.TemporaryDirectory() as folder:
    ks.export(network, folder + "/n.keras", format="keras")
    assert keras.saving.load_model(folder + "/n.keras").count_params() == plain.count_params()
print("works")
"""
NEEDS = """
import contextlib, io, tempfile
import keras_selectscale as ks

def message(call):
    try:
        call()
    except ModuleNotFoundError as error:
        return str(error)

folder = tempfile.TemporaryDirectory()
old_run = folder.name
with open(old_run + "/config.json", "w") as file:
    file.write("{}")

def command_line():
    stderr = io.StringIO()
    try:
        with contextlib.redirect_stderr(stderr):
            __import__("keras_selectscale.cli").cli.main()
    except SystemExit as end:
        assert end.code == 2
        raise ModuleNotFoundError(stderr.getvalue().strip()) from None

for call, extra in (
    (lambda: ks.tuning.RateSpace, "tune"),
    (lambda: ks.data.load("digits"), "data"),
    (command_line, "cli"),
    (lambda: ks.benchmarking.draw_growth({}, None), "cli"),
    (lambda: ks.experiments.draw_comparison({}, None), "cli"),
    (lambda: ks.training.RunFolder(old_run).read_recipe(), "train"),
    (lambda: ks.training.RunFolder(old_run).lock().__enter__(), "train"),
):
    said = message(call)
    assert said and "\\n" not in said and f"'keras-selectscale[{extra}]'" in said, (extra, said)
print("says so")
"""


def run(backend, code):
    # Most of JAX's time goes into compiling what runs once.
    flags = {"XLA_FLAGS": "--xla_backend_optimization_level=0"} if backend == "jax" else {}
    done = subprocess.run(
        [sys.executable, "-c", f"BACKEND = {backend!r}\n{BARE}\n{code}"],
        env={**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": str(ROOT), **flags},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_layers_networks_surgery_and_keras_files_need_no_extra(backend):
    pytest.importorskip(backend)
    assert "works" in run(backend, WORKS)


def test_what_needs_an_extra_says_which():
    pytest.importorskip("jax")
    assert "says so" in run("jax", NEEDS)
