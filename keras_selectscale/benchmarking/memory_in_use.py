"""How much memory is in use, on a device or by the process."""

import ctypes
import gc
import pathlib
from typing import NamedTuple

import keras

from keras_selectscale.benchmarking import backend_modes

STATUS = pathlib.Path("/proc/self/status")
FORGET = pathlib.Path("/proc/self/clear_refs")


class Memory(NamedTuple):
    """A reading.

    Attributes:
        now: Bytes in use.
        peak: The most bytes that were in use, since `forget_peaks` where that can be had.
        of: What they are measured of.
    """

    now: int
    peak: int
    of: str


def of_process() -> Memory:
    """Returns what the backend's allocator says of a GPU, and on a CPU the resident set."""
    device = backend_modes.device_name()
    if device.startswith(("gpu", "tpu")):
        return _of_device(device)
    if STATUS.exists():
        # Not `ru_maxrss`: it is at least what the process that started this one held then.
        fields = dict(line.split(":", 1) for line in STATUS.read_text().splitlines())
        now, peak = (1024 * int(fields[name].split()[0]) for name in ("VmRSS", "VmHWM"))
        return Memory(now, peak, "resident set")
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return Memory(peak, peak, "resident set, compiling too")


def of_tensors() -> Memory:
    """Returns the reading that a step's own share shows in.

    It is that of the process but for TensorFlow on a CPU, whose allocator keeps what it has had and
    tells what of it is in use.
    """
    if keras.backend.backend() != "tensorflow" or backend_modes.device_name() != "cpu":
        return of_process()
    return _of_tensorflow("CPU:0", "allocator")


def forget_peaks() -> bool:
    """Lets the peaks begin anew, after compiling; returns whether both readings do."""
    gc.collect()
    backend = keras.backend.backend()
    if backend_modes.device_name().startswith(("gpu", "tpu")):
        if backend == "tensorflow":
            _forget_tensorflow("GPU:0")
        elif backend == "torch":
            import torch

            torch.cuda.reset_peak_memory_stats()
        return backend != "jax"  # Which has no such call.
    if backend == "tensorflow":
        _forget_tensorflow("CPU:0")
    try:
        ctypes.CDLL(None).malloc_trim(0)  # What compiling has freed goes back to the system.
        FORGET.write_text("5")
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
        of = f"{device}, compiling too"
        return Memory(stats["bytes_in_use"], stats["peak_bytes_in_use"], of)
    import torch

    return Memory(torch.cuda.memory_allocated(), torch.cuda.max_memory_allocated(), device)


def _of_tensorflow(device: str, of: str) -> Memory:
    import tensorflow as tf

    info = tf.config.experimental.get_memory_info(device)
    return Memory(info["current"], info["peak"], of)


def _forget_tensorflow(device: str) -> None:
    import tensorflow as tf

    tf.config.experimental.reset_memory_stats(device)
