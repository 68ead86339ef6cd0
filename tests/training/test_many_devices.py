"""One device and two, one process and two."""

import contextlib
import importlib.util
import json
import os
import pathlib
import socket
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.slow

ROOT = pathlib.Path(__file__).parents[2]
RECIPE = {"epochs": 2, "batch_size": 32, "train_size": 160}
DROP = {"drop": "selectscale", "curriculum": "linear"}
# Every failure here may be a hang.
LIMIT = 240
# A process takes longer to compile than to train.
QUICK_XLA = "--xla_backend_optimization_level=0"


def needs(backend):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"the package {backend} is not installed")


def start(backend, folder, recipe, devices, *more):
    return subprocess.Popen(
        [sys.executable, "-m", "tests.training.many_devices", str(folder)]
        + [json.dumps(recipe), json.dumps(devices), *map(str, more)],
        cwd=ROOT,
        env={**os.environ, "KERAS_BACKEND": backend, "XLA_FLAGS": QUICK_XLA},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def report(process):
    try:
        out, err = process.communicate(timeout=LIMIT)
    finally:
        process.kill()
    assert process.returncode == 0, err[-4000:]
    # Other processes than the main one have nothing to report.
    lines = [line for line in out.splitlines() if line.startswith("{")]
    return json.loads(lines[-1]) if lines else None


@pytest.mark.parametrize(
    ("backend", "distribute", "recipe"),
    # On JAX the drops too are those of one device; replicas of TensorFlow draw their own.
    [("tensorflow", "mirrored", RECIPE), ("jax", "data", RECIPE | DROP)],
)
def test_the_losses_on_two_devices_are_those_on_one(tmp_path, backend, distribute, recipe):
    needs(backend)
    one = report(start(backend, tmp_path / "one", recipe, {}))
    devices = {"distribute": distribute, "cpu_devices": 2}
    two = report(start(backend, tmp_path / "two", recipe, devices))
    assert (one["devices"], two["devices"]) == (1, 2)
    assert two["losses"] == pytest.approx(one["losses"], rel=1e-4)
    assert two["test_error"] == pytest.approx(one["test_error"], abs=0.5)


def test_replicas_with_a_scheduled_drop_write_checkpoints_within_epochs(tmp_path):
    needs("tensorflow")
    devices = {"distribute": "mirrored", "cpu_devices": 2}
    recipe = RECIPE | DROP
    often = report(start("tensorflow", tmp_path / "often", recipe, devices, 0))
    once = report(start("tensorflow", tmp_path / "once", recipe, devices))
    assert often["losses"] == once["losses"] and len(often["losses"]) == 2
    assert often["test_error"] == once["test_error"]


def test_two_processes_go_on_after_one_is_killed(tmp_path):
    needs("jax")
    recipe = RECIPE | DROP | {"epochs": 8}

    @contextlib.contextmanager
    def both(name, seconds):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        devices = {"distribute": "data", "coordinator": f"127.0.0.1:{port}", "processes": 2}
        # The second one has no folder to share: it is told all by the first.
        processes = [
            start("jax", folder, recipe, devices | {"process": number}, seconds)
            for number, folder in enumerate((tmp_path / name, tmp_path / "other" / name))
        ]
        try:
            yield processes
        finally:
            for process in processes:
                process.kill()

    with both("whole", 1e9) as processes:
        whole = report(processes[0])
        report(processes[1])
    # 127.0.0.1 alone, also in the form of IPv6.
    assert all(host.endswith("0100007F") for host in whole["listening"])
    assert whole["listening"] or sys.platform != "linux"
    with both("killed", 0) as (first, second):
        deadline = time.monotonic() + LIMIT
        while not (tmp_path / "killed" / "checkpoint-previous.keras").exists():
            assert time.monotonic() < deadline and first.poll() is None, first.communicate()
            time.sleep(0.02)
        second.kill()
        _, err = first.communicate(timeout=LIMIT)
        assert first.returncode not in (0, -9)
        assert "another process of the run is gone: start all of them again" in err
    assert not (tmp_path / "killed" / "result.json").exists()
    with both("killed", 1e9) as processes:
        killed = report(processes[0])
        report(processes[1])
    assert killed["losses"] == whole["losses"] and len(whole["losses"]) == 8
    assert killed["test_error"] == whole["test_error"]
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["compiled"]
