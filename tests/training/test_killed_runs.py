"""Runs that are killed at random moments end as one that was not, to the bit."""

import importlib.util
import json
import os
import pathlib
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

ROOT = pathlib.Path(__file__).parents[2]
STEPS_PER_EPOCH, STEPS = 7, 42
# An attempt takes longer to compile than to train.
QUICK_XLA = "--xla_backend_optimization_level=0"
FILES = ["checkpoint.keras", "config.json", "history.csv", "result.json"]


@pytest.mark.parametrize(("backend", "kills"), [("tensorflow", 3), ("jax", 2), ("torch", 2)])
def test_a_killed_run_ends_as_one_that_was_not(tmp_path, backend, kills):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"the package {backend} is not installed")
    done = subprocess.run(
        [sys.executable, "-m", "tests.training.killed_runs", str(tmp_path), str(kills)],
        cwd=ROOT,
        env={**os.environ, "KERAS_BACKEND": backend, "XLA_FLAGS": QUICK_XLA},
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    report = json.loads(done.stdout.splitlines()[-1])
    # The kills came while it trained, and in the middle of epochs.
    assert len(report["steps"]) == kills and report["steps"] == sorted(report["steps"])
    assert 0 < report["steps"][0] < report["steps"][-1] < STEPS
    assert report["while_writing"][-1]
    assert any(step % STEPS_PER_EPOCH for step in report["steps"])
    # Weights, momenta, counters of schedules and states of seeds.
    assert report["drops"] == 7 and report["arrays"] == 75
    assert report["differ"] == 0
    assert report["same_history"] and report["same_result"]
    assert report["files"] == FILES
