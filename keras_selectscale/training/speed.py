"""What trains fastest: the precision and the compilation that `auto` stands for.

**Precision.** `mixed_bfloat16` where the device multiplies bfloat16 faster than float32, `float32`
elsewhere. That is an NVIDIA GPU from Ampere on (compute capability 8.0, the first whose tensor
cores know bfloat16) and a TPU; and a CPU with AVX512-BF16 or AMX-BF16 on TensorFlow, whose
convolutions use them: 627 images a second against 492 for ResNet-20, 110 against 72 for WRN-14-4
(2 cores, batch 128). On the same CPU JAX is much slower in bfloat16. On an H200 JAX takes 1.02 of
the time of float32 for ResNet-20 and 0.68 for WRN-14-4. `float32` on PyTorch, which waits for
Python on such a card: the casts make a step 1.12 and 1.29 times as long. docs/benchmarks.md has the
tables.

**Compilation.** On TensorFlow the graph on a CPU: XLA trains slower there (ResNet-20: 344 images a
second against 492). XLA on a GPU, where it fuses the many operations between the convolutions that
are bound by memory; this is the rule of Keras' own `jit_compile="auto"` too. Never with replicas:
XLA refuses variables that are on another device. JAX always compiles. PyTorch never does: Keras'
`jit_compile` is `torch.compile` there, with which no training has been tested here.
"""

import pathlib
from typing import Any

import keras

FLOAT32, MIXED = "float32", "mixed_bfloat16"
PRECISIONS = (FLOAT32, MIXED)
CPU_FLAGS = frozenset({"avx512_bf16", "amx_bf16"})
CPU_INFO = pathlib.Path("/proc/cpuinfo")
AMPERE = (8, 0)


def fastest_precision() -> str:
    """Returns the precision that trains fastest on this backend's device."""
    backend = keras.backend.backend()
    found = {"tensorflow": _on_tensorflow, "jax": _on_jax}.get(backend)
    return MIXED if found is not None and found() else FLOAT32


def possible_jit(distribute: str = "none") -> tuple[bool, ...]:
    """Returns what `jit` may be on this backend, the fastest first.

    Args:
        distribute: As of `Devices`.
    """
    backend = keras.backend.backend()
    if backend == "jax":
        return (True,)
    if backend != "tensorflow" or distribute == "mirrored":
        return (False,)
    import tensorflow as tf

    return (True, False) if tf.config.get_visible_devices("GPU") else (False, True)


def check_jit(jit: bool | None, distribute: str = "none") -> None:
    """Checks a given `jit`.

    Args:
        jit: Whether the training step is compiled; `None` for what is fastest.
        distribute: As of `Devices`.

    Raises:
        TypeError: Where it is no bool.
        ValueError: Where the backend, or sharing the batches so, knows another one alone.
    """
    if jit is None:
        return
    if not isinstance(jit, bool):
        raise TypeError(f"Argument `jit` must be a bool or None. Received: jit={jit!r}")
    possible = possible_jit(distribute)
    if jit not in possible:
        where = f"the backend {keras.backend.backend()}"
        if distribute == "mirrored":
            where = "replicas (distribute='mirrored')"
        raise ValueError(
            f"Argument `jit` must be {said(possible[0])} with {where}. Received: jit={said(jit)}"
        )


def decide_jit(jit: bool | None, began: bool | None = None, distribute: str = "none") -> bool:
    """Returns whether a training step is compiled.

    A run goes on as it began, so that it ends with the same weights to the bit. Where that cannot
    be, on another backend or on replicas, it goes on with what can.

    Args:
        jit: What is asked for; `None` for what the run began with, or what is fastest.
        began: What the run began with; `None` where it begins now.
        distribute: As of `Devices`.

    Raises:
        ValueError: Where another one is asked for than the run began with, and both could be.
    """
    check_jit(jit, distribute)
    possible = possible_jit(distribute)
    if began not in possible:
        began = None
    if jit is not None and began is not None and jit != began:
        raise ValueError(
            f"Argument `jit` must be {said(began)}, with which the run began. "
            f"Received: jit={said(jit)}"
        )
    chosen = began if jit is None else jit
    return possible[0] if chosen is None else chosen


def said(jit: bool) -> str:
    """Returns `"on"` or `"off"`."""
    return "on" if jit else "off"


def _on_tensorflow() -> bool:
    import tensorflow as tf

    devices = tf.config.get_visible_devices()
    if any(device.device_type == "TPU" for device in devices):
        return True
    gpus = [device for device in devices if device.device_type == "GPU"]
    if not gpus:
        return bool(CPU_FLAGS & _cpu_flags())
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
    """Returns whether a compute capability, `(8, 6)` or `"8.6"`, is of Ampere or later."""
    if isinstance(capability, str):
        parts = capability.split(".")
        # AMD's have names, such as gfx90a.
        if not all(part.isdigit() for part in parts):
            return False
        capability = tuple(int(part) for part in parts)
    return capability is not None and tuple(capability) >= AMPERE


def _cpu_flags() -> set[str]:
    """Returns what the CPU can do, in Linux' words; nothing elsewhere."""
    try:
        lines = CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return set()
    found = next((line for line in lines if line.startswith("flags")), "")
    return set(found.partition(":")[2].split())
