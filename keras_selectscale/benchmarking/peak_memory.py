"""The peak memory of training steps, in a process of its own.

python -m keras_selectscale.benchmarking.peak_memory JSON
"""

import contextlib
import ctypes
import gc
import json
import os
import pathlib
import subprocess
import sys
from typing import Any

import keras

from keras_selectscale.benchmarking.network_error import NetworkError

STEPS = 3
LIMIT_SECONDS = 1800


def peak_memory(
    network: str, drop: str, *, mode: str, precision: str, batch_size: int, seed: int
) -> dict[str, Any]:
    """Measures, in a new process, the peak memory of training steps after they are compiled.

    On a GPU it is what the backend's allocator says of itself; on a CPU the largest resident set
    of the process, libraries and all.

    Args:
        network: Name for `models.build`.
        drop: One of `layer_sides.SIDES`, or `"none"`.
        mode: One of `backend_modes.modes()`.
        precision: Dtype of the activations.
        batch_size: Images a step.
        seed: Decides weights and drops.

    Returns:
        `peak`, `before` and `idle` in bytes, `before` being the memory when the model was made and
        `idle` that between two steps, `None` where only peaks are known; and `of`, what they are
        measured of.

    Raises:
        NetworkError: Where the network cannot be made.
        OSError: Where the process ends otherwise than well.
    """
    wanted = {
        "network": network,
        "drop": drop,
        "mode": mode,
        "precision": precision,
        "batch_size": batch_size,
        "seed": seed,
    }
    done = subprocess.run(
        [sys.executable, "-m", "keras_selectscale.benchmarking.peak_memory", json.dumps(wanted)],
        env={**os.environ, "KERAS_BACKEND": keras.backend.backend()},
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
    )
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        last = (done.stderr.strip().splitlines() or [""])[-1]
        raise OSError(
            f"the process that measures the memory of {network} with {drop} ended with status "
            f"{done.returncode}: {last}"
        )
    answer = json.loads(lines[-1])
    if "error" in answer:
        raise NetworkError(answer["error"])
    return answer


def measure_here(
    network: str, drop: str, *, mode: str, precision: str, batch_size: int, seed: int
) -> dict[str, Any]:
    """Measures the peak memory in this process; the arguments are those of `peak_memory`."""
    from keras_selectscale.benchmarking import backend_modes, step_work

    model = step_work.make_network(network, drop, mode=mode, precision=precision, seed=seed)
    work = step_work.step_work(model, step_work.make_batch(model, batch_size, seed))
    before = _memory()[0]
    backend_modes.wait(work())  # Compiles, which may need more memory than a step.
    _forget_the_peak()
    idle = _memory()[0]
    for _ in range(STEPS):
        backend_modes.wait(work())
    _, peak, of = _memory()
    return {"peak": peak, "before": before, "idle": idle if idle < peak else None, "of": of}


def _memory() -> tuple[int, int, str]:
    """Returns the bytes in use now, at their peak, and what they are measured of."""
    from keras_selectscale.benchmarking import backend_modes

    backend, device = keras.backend.backend(), backend_modes.device_name()
    if device.startswith(("gpu", "tpu")):
        if backend == "tensorflow":
            import tensorflow as tf

            info = tf.config.experimental.get_memory_info("GPU:0")
            return info["current"], info["peak"], device
        if backend == "jax":
            import jax

            stats = jax.devices()[0].memory_stats()
            return stats["bytes_in_use"], stats["peak_bytes_in_use"], f"{device}, compiling too"
        import torch

        return torch.cuda.memory_allocated(), torch.cuda.max_memory_allocated(), device
    status = pathlib.Path("/proc/self/status")
    if status.exists():
        # Not `ru_maxrss`: it is at least what the process that started this one held then.
        fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
        now, peak = (1024 * int(fields[name].split()[0]) for name in ("VmRSS", "VmHWM"))
        return now, peak, "resident set"
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak, peak, "resident set, compiling too"


def _forget_the_peak() -> None:
    """Lets the peak begin anew where that can be had: after compiling."""
    from keras_selectscale.benchmarking import backend_modes

    gc.collect()
    if backend_modes.device_name().startswith("gpu"):
        if keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            tf.config.experimental.reset_memory_stats("GPU:0")
        elif keras.backend.backend() == "torch":
            import torch

            torch.cuda.reset_peak_memory_stats()
        return
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)  # What compiling has freed goes back to the system.
        pathlib.Path("/proc/self/clear_refs").write_text("5")


if __name__ == "__main__":
    try:
        found = measure_here(**json.loads(sys.argv[1]))
    except NetworkError as error:
        found = {"error": str(error)}
    print(json.dumps(found))
