"""The tests of this folder and of the fused normalization on the other backends, each in a process.

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

pytestmark = pytest.mark.slow

# Small functions are compiled once for each call: compiling takes longer than computing.
QUICK_XLA = "--xla_backend_optimization_level=0"
ROOT = Path(__file__).parents[2]
TESTS = {
    "test_factors.py": [],
    "test_fast_calls.py": [],
    "test_drop_seed_generator.py": ["test_each_call_draws_anew"],
    "test_selection.py": [],
    "test_scores.py": [],
    "test_top_ranked.py": ["test_the_random_control_selects_as_many_maps_anew_for_each_sample"],
    "test_feature_drop.py": [
        "test_compiled_the_factor_is_still_that_of_the_method",
        "test_the_gradient_is_the_factor_and_nothing_comes_through_the_score",
        "test_a_sample_that_is_not_finite_touches_no_other",
    ],
    "test_feature_drop_schedule.py": [
        "test_each_step_has_its_rate",
        "test_compiled_each_step_has_its_rate_and_one_trace_does",
        "test_fit_counts_one_for_each_step_and_traces_once",
    ],
    "test_training_steps.py": [],
    "test_torch_compile.py": [],
    "test_feature_drop_saving.py": [
        "test_a_weight_file_without_random_state_loads",
        "test_a_training_that_was_interrupted_ends_as_one_that_was_not",
    ],
    "../training/test_normalization.py": [],
    "../training/test_late_logs.py": [],
    "../tuning/test_trial_checkpoint.py": ["test_a_stopped_trial_ends_with_the_same_bits[5]"],
    "../optimizers/test_coupled_sgd.py": [
        "test_vectors_that_are_updated_together_take_the_same_steps"
    ],
}


@pytest.mark.skipif(drawing.BACKEND != "tensorflow", reason="started from TensorFlow alone")
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_another_backend(backend):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"the package {backend} is not installed")
    folder = Path(__file__).parent
    chosen = [
        "::".join([str(folder / file), *test])
        for file, tests in TESTS.items()
        for test in ([[name] for name in tests] or [[]])
    ]
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


SHARDED = """
import jax
import keras
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from keras_selectscale.layers.backends import ranking
from keras_selectscale.layers.backends import jax as jax_calls

assert len(jax.devices()) == 4
keras.distribution.set_distribution(keras.distribution.DataParallel())
by_sample = NamedSharding(jax.make_mesh((4,), ("batch",)), PartitionSpec("batch"))
values = np.random.default_rng(0).integers(-3, 3, (8, 33)).astype("float32")
way = jax.jit(lambda v: jax_calls.top_k_mask(v, 7), in_shardings=by_sample, out_shardings=by_sample)
text = way.lower(values).compile().as_text()
assert "s32[2,33]" in text, "nothing was sharded"
assert "all-" not in text and "collective" not in text
np.testing.assert_array_equal(way(values), ranking.top_k_mask_by_rank(values, 7))
"""


@pytest.mark.skipif(drawing.BACKEND != "tensorflow", reason="started from TensorFlow alone")
def test_devices_that_share_the_batch_select_without_each_other():
    pytest.importorskip("jax")
    result = subprocess.run(
        [sys.executable, "-c", SHARDED],
        cwd=ROOT,
        env={
            **os.environ,
            "KERAS_BACKEND": "jax",
            "JAX_PLATFORMS": "cpu",
            "XLA_FLAGS": "--xla_force_host_platform_device_count=4",
        },
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert result.returncode == 0, result.stderr[-3000:]
