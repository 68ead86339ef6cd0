"""The peak memory of training steps, in a process of its own.

python -m keras_selectscale.benchmarking.peak_memory JSON
"""

import json
import os
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
        `peak`, `before` and `step` in bytes, `before` being the memory when the model was made and
        `step` what a step takes beyond what lies there between two steps, `None` where only peaks
        are known; and `of`, what peak and before are measured of.

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
    from keras_selectscale.benchmarking import backend_modes, memory_in_use, step_work

    model = step_work.make_network(network, drop, mode=mode, precision=precision, seed=seed)
    work = step_work.step_work(model, step_work.make_batch(model, batch_size, seed))
    before = memory_in_use.of_process().now
    backend_modes.wait(work())  # Compiles, which may need more memory than a step.
    begins_anew = memory_in_use.forget_peaks()
    idle = memory_in_use.of_tensors().now
    for _ in range(STEPS):
        backend_modes.wait(work())
    whole, tensors = memory_in_use.of_process(), memory_in_use.of_tensors()
    step = tensors.peak - idle if begins_anew else None
    return {"peak": whole.peak, "before": before, "step": step, "of": whole.of}


if __name__ == "__main__":
    try:
        found = measure_here(**json.loads(sys.argv[1]))
    except NetworkError as error:
        found = {"error": str(error)}
    print(json.dumps(found))
