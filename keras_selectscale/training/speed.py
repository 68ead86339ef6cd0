"""The fastest precision and compilation on a device, which `auto` selects.

**Precision.** `mixed_bfloat16` if the device multiplies bfloat16 faster than float32, otherwise
`float32`. These devices are faster: NVIDIA GPUs from Ampere on (compute capability 8.0, the first
whose tensor cores support bfloat16), TPUs, and, with TensorFlow, CPUs with AVX512-BF16 or AMX-BF16,
because TensorFlow's convolutions use them: 627 images per second against 492 for ResNet-20, 110
against 72 for WRN-14-4 (2 cores, batch 128). JAX is much slower in bfloat16 on the same CPU. On an
H200 a step of JAX takes 1.02 of the time of float32 for ResNet-20 and 0.68 for WRN-14-4. PyTorch
waits for Python on such a card, where the casts make a step 1.12 and 1.29 times as long, so it uses
`float32`. docs/benchmarks.md has the tables.

**Compilation.** TensorFlow uses its graph on a CPU, where XLA trains more slowly (ResNet-20: 344
images per second against 492), and XLA on a GPU, where it fuses the many operations between the
convolutions, which are bound by memory. Keras' own `jit_compile="auto"` follows the same rule. With
replicas, XLA is off, because it rejects variables on another device. JAX always compiles. PyTorch
never does: there, Keras' `jit_compile` uses `torch.compile`, with which no training has been
tested.
"""

import pathlib
from typing import Any

import keras

from keras_selectscale.checks import ArgumentValueError
from keras_selectscale.object_checks import as_boolean

FLOAT32, MIXED = "float32", "mixed_bfloat16"
PRECISIONS = (FLOAT32, MIXED)
CPU_FLAGS = frozenset({"avx512_bf16", "amx_bf16"})
CPU_INFO = pathlib.Path("/proc/cpuinfo")
AMPERE = (8, 0)


def fastest_precision() -> str:
    """Returns the precision that trains fastest on the device of this backend."""
    backend = keras.backend.backend()
    found = {"tensorflow": _on_tensorflow, "jax": _on_jax}.get(backend)
    return MIXED if found is not None and found() else FLOAT32


def possible_jit(distribute: str = "none") -> tuple[bool, ...]:
    """Returns the possible values of `jit` on this backend, the fastest first.

    Args:
        distribute: As in `Devices`.
    """
    backend = keras.backend.backend()
    if backend == "jax":
        return (True,)
    if backend != "tensorflow" or distribute == "mirrored":
        return (False,)
    import tensorflow as tf

    return (True, False) if tf.config.get_visible_devices("GPU") else (False, True)


def check_jit(jit: bool | None, distribute: str = "none") -> None:
    """Checks the argument `jit`.

    Args:
        jit: Whether to compile the training step; `None` for the faster choice.
        distribute: As in `Devices`.

    Raises:
        TypeError: If it is neither `None` nor a bool.
        ValueError: If the backend or the distribution does not support it.
    """
    if jit is None:
        return
    as_boolean("jit", jit)
    possible = possible_jit(distribute)
    if jit not in possible:
        where = f"the backend {keras.backend.backend()}"
        if distribute == "mirrored":
            where = "replicas (distribute='mirrored')"
        raise _jit_error(f"{said(possible[0])} with {where}", jit)


def decide_jit(jit: bool | None, began: bool | None = None, distribute: str = "none") -> bool:
    """Returns whether a training step is compiled.

    A run continues as it began, so that it ends with the same weights to the bit. If that is not
    possible, on another backend or with replicas, it continues with the possible value.

    Args:
        jit: Value that the user passed; `None` for the value with which the run began, or the
            faster choice.
        began: What the run began with; `None` if it begins now.
        distribute: As in `Devices`.

    Raises:
        ValueError: If the user passed another value than the run began with, and both are possible.
    """
    check_jit(jit, distribute)
    possible = possible_jit(distribute)
    if began not in possible:
        began = None
    if jit is not None and began is not None and jit != began:
        raise _jit_error(f"{said(began)}, with which the run began", jit)
    chosen = began if jit is None else jit
    return possible[0] if chosen is None else chosen


def said(jit: bool) -> str:
    """Returns `"on"` or `"off"`."""
    return "on" if jit else "off"


def _jit_error(expected: str, jit: bool) -> ArgumentValueError:
    # In the words of the command line.
    message = f"Argument `jit` must be {expected}. Received: jit={said(jit)}"
    return ArgumentValueError.about("jit", message)


def _on_tensorflow() -> bool:
    import tensorflow as tf

    devices = tf.config.get_visible_devices()
    if any(device.device_type == "TPU" for device in devices):
        return True
    gpus = [device for device in devices if device.device_type == "GPU"]
    if not gpus:
        return bool(CPU_FLAGS & cpu_flags())
    details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
    return all(_is_ampere(each.get("compute_capability")) for each in details)


def _on_jax() -> bool:
    import jax

    devices = jax.local_devices()
    if devices[0].platform == "tpu":
        return True
    return devices[0].platform == "gpu" and all(
        _is_ampere(getattr(device, "compute_capability", None)) for device in devices
    )


def _is_ampere(capability: Any) -> bool:
    """Returns whether a compute capability, `(8, 6)` or `"8.6"`, is Ampere's or a later one."""
    if isinstance(capability, str):
        parts = capability.split(".")
        # AMD's are names such as gfx90a.
        if not all(part.isdigit() for part in parts):
            return False
        capability = tuple(int(part) for part in parts)
    return capability is not None and tuple(capability) >= AMPERE


def cpu_flags() -> set[str]:
    """Returns the features of the CPU on Linux, and none on other systems."""
    try:
        lines = CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return set()
    found = next((line for line in lines if line.startswith("flags")), "")
    return set(found.partition(":")[2].split())
