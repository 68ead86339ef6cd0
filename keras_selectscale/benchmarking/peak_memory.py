"""The peak memory of training steps, measured in a separate process.

python -m keras_selectscale.benchmarking.peak_memory JSON
"""

import ctypes
import gc
import json
import os
import pathlib
import subprocess
import sys
from typing import Any, NamedTuple

import keras

from keras_selectscale.benchmarking import backend_modes, step_work
from keras_selectscale.benchmarking.step_work import NetworkError

STEPS = 3
LIMIT_SECONDS = 1800
STATUS = pathlib.Path("/proc/self/status")
RESET = pathlib.Path("/proc/self/clear_refs")


def peak_memory(
    network: str, drop: str, *, mode: str, precision: str, batch_size: int, seed: int
) -> dict[str, Any]:
    """Measures, in a new process, the peak memory of training steps after they are compiled.

    On a GPU, the backend's allocator reports it; on a CPU, it is the largest resident set of the
    process, libraries included.

    Args:
        network: Name for `models.build`.
        drop: One of `layer_sides.SIDES`, or `"none"`.
        mode: One of `backend_modes.modes()`.
        precision: Dtype of the activations.
        batch_size: Images per step.
        seed: Determines weights and drops.

    Returns:
        `peak`, `before` and `step` in bytes. `before` is the memory after the model was built, and
        `step` the memory of a step beyond that in use between two steps, or `None` if only peaks
        are known. `of` states what peak and before measure.

    Raises:
        NetworkError: If the network cannot be built.
        OSError: If the process fails.
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
    """Measures the peak memory in this process; see `peak_memory` for the arguments."""
    model = step_work.make_network(network, drop, mode=mode, precision=precision, seed=seed)
    work = step_work.step_work(model, step_work.make_batch(model, batch_size, seed))
    before = of_process().now
    backend_modes.wait(work())  # Compiles, which may need more memory than a step.
    are_reset = reset_peaks()
    idle = of_tensors().now
    for _ in range(STEPS):
        backend_modes.wait(work())
    whole, tensors = of_process(), of_tensors()
    step = tensors.peak - idle if are_reset else None
    return {"peak": whole.peak, "before": before, "step": step, "of": whole.of}


class Memory(NamedTuple):
    """A reading of the memory in use.

    Attributes:
        now: Bytes in use.
        peak: Largest number of bytes in use since `reset_peaks`, if peaks can be reset.
        of: What was measured.
    """

    now: int
    peak: int
    of: str


def of_process() -> Memory:
    """Returns the reading of the backend's allocator on a GPU, and the resident set on a CPU."""
    device = backend_modes.device_name()
    if device.startswith(("gpu", "tpu")):
        return _of_device(device)
    if STATUS.exists():
        # Not `ru_maxrss`, which starts at the memory of the parent process.
        fields = dict(line.split(":", 1) for line in STATUS.read_text().splitlines())
        now, peak = (1024 * int(fields[name].split()[0]) for name in ("VmRSS", "VmHWM"))
        return Memory(now, peak, "resident set")
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return Memory(peak, peak, "resident set, compilation included")


def of_tensors() -> Memory:
    """Returns the reading that shows the share of a step.

    It is the reading of the process, except for TensorFlow on a CPU, whose allocator keeps freed
    memory and reports how much of it is in use.
    """
    if keras.backend.backend() != "tensorflow" or backend_modes.device_name() != "cpu":
        return of_process()
    return _of_tensorflow("CPU:0", "allocator")


def reset_peaks() -> bool:
    """Resets the peak counters after compilation; returns whether both could be reset."""
    gc.collect()
    backend = keras.backend.backend()
    if backend_modes.device_name().startswith(("gpu", "tpu")):
        if backend == "tensorflow":
            _reset_tensorflow("GPU:0")
        elif backend == "torch":
            import torch

            torch.cuda.reset_peak_memory_stats()
        return backend != "jax"  # It has no such call.
    if backend == "tensorflow":
        _reset_tensorflow("CPU:0")
    try:
        ctypes.CDLL(None).malloc_trim(0)  # Returns freed memory to the system.
        RESET.write_text("5")
    except (OSError, AttributeError):
        return backend == "tensorflow"
    return True


def _of_device(device: str) -> Memory:
    backend = keras.backend.backend()
    if backend == "tensorflow":
        return _of_tensorflow("GPU:0", device)
    if backend == "jax":
        import jax

        stats = jax.devices()[0].memory_stats()
        of = f"{device}, compilation included"
        return Memory(stats["bytes_in_use"], stats["peak_bytes_in_use"], of)
    import torch

    return Memory(torch.cuda.memory_allocated(), torch.cuda.max_memory_allocated(), device)


def _of_tensorflow(device: str, of: str) -> Memory:
    import tensorflow as tf

    info = tf.config.experimental.get_memory_info(device)
    return Memory(info["current"], info["peak"], of)


def _reset_tensorflow(device: str) -> None:
    import tensorflow as tf

    tf.config.experimental.reset_memory_stats(device)


if __name__ == "__main__":
    try:
        found = measure_here(**json.loads(sys.argv[1]))
    except NetworkError as error:
        found = {"error": str(error)}
    print(json.dumps(found))
