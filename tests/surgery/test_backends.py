"""A part of this folder's tests on the other backends, each in a process of its own."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import keras
import pytest

pytestmark = pytest.mark.slow

# Small functions are compiled once for each call: compiling takes longer than computing.
QUICK_XLA = "--xla_backend_optimization_level=0"
ROOT = Path(__file__).parents[2]
TESTS = [
    "test_insert.py::test_several_inputs_and_outputs_shared_layers_and_nested_models",
    "test_strip.py::test_what_was_put_in_is_taken_out",
    "test_active.py::test_on_inside_and_off_before_and_after_in_every_way",
    "test_active.py::test_the_count_of_a_schedule_stands_still_and_its_rate_holds",
    "test_drop_diagnostics.py::test_a_training_is_the_same_to_the_bit",
    "test_map_history.py::test_the_maps_of_the_epochs_are_kept_and_the_training_is_the_same",
    "test_monte_carlo.py::test_a_seed_repeats_and_leaves_the_states",
]


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="started from TensorFlow alone")
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_another_backend(backend):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"the package {backend} is not installed")
    chosen = [str(Path(__file__).parent / test) for test in TESTS]
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *chosen],
        cwd=ROOT,
        env={**os.environ, "KERAS_BACKEND": backend, "XLA_FLAGS": QUICK_XLA},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert result.returncode == 0, result.stdout[-6000:] + result.stderr[-2000:]
    assert " passed" in result.stdout
