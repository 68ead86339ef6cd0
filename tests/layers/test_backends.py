"""The tests of this folder on the other backends, each in a process of its own.

A backend is chosen when Keras is imported. What runs here is a part of the folder that says most
in the least time; `KERAS_BACKEND=jax python -m pytest tests/layers` runs all of it.
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.layers import drawing

ROOT = Path(__file__).parents[2]
FILES = [
    "test_factors.py",
    "test_feature_drop.py",
    "test_feature_drop_saving.py",
    "test_feature_drop_schedule.py",
    "test_layer_contract.py",
    "test_select_scale.py",
    "test_selection.py",
    "test_selectout.py",
]


@pytest.mark.skipif(drawing.BACKEND != "tensorflow", reason="started from TensorFlow alone")
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_another_backend(backend):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"the package {backend} is not installed")
    folder = Path(__file__).parent
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
        + [str(folder / name) for name in FILES],
        cwd=ROOT,
        env={**os.environ, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert result.returncode == 0, result.stdout[-6000:] + result.stderr[-2000:]
    assert " passed" in result.stdout
