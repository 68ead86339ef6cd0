"""Checks for optional packages, and records the versions and the machine of a result."""

import importlib.metadata
import importlib.util
import os
import pathlib
import platform
import subprocess

from keras_selectscale.version import __version__

PACKAGES = ("keras", "tensorflow", "jax", "torch", "numpy", "tensorflow-datasets")
# Holds the commit in an archive of git and in what `setup.py` builds, and a placeholder in a
# checkout.
COMMIT_FILE = "commit.txt"
SECONDS = 10


def require(package: str, extra: str, purpose: str) -> None:
    """Checks that an optional package is installed.

    Args:
        package: Name to import.
        extra: Extra of this package that installs it.
        purpose: The feature that needs it, as the subject of the message.

    Raises:
        ModuleNotFoundError: If it is not installed, with the command that installs it.
    """
    if importlib.util.find_spec(package) is None:
        raise ModuleNotFoundError(
            f"{purpose} needs the package {package}: "
            f"run `pip install 'keras-selectscale[{extra}]'`",
            name=package,
        )


def describe() -> dict[str, object]:
    """Returns versions, backend, precision and machine, as a run's config records them."""
    import keras

    return {
        "keras_selectscale": __version__,
        "commit": _commit(),
        "python": platform.python_version(),
        "backend": keras.backend.backend(),
        "dtype_policy": keras.config.dtype_policy().name,
        "packages": {name: _version(name) for name in PACKAGES if _version(name)},
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "accelerator": accelerator(),
    }


def accelerator() -> dict[str, object] | None:
    """Returns the accelerators that the backend sees, or `None` if it computes on the CPU.

    Returns:
        `name`, `count`, and of NVIDIA's also `memory_mib` (of one) and `driver`, if `nvidia-smi`
        knows them; different ones are separated by commas.
    """
    import keras

    names = _device_names(keras.backend.backend())
    if not names:
        return None
    known = [row for row in _nvidia_devices() if row[0] in names]
    memories, drivers = (sorted({row[place] for row in known}) for place in (1, 2))
    return {
        "name": ", ".join(sorted(set(names))),
        "count": len(names),
        "memory_mib": int(memories[0]) if len(memories) == 1 and memories[0].isdigit() else None,
        "driver": ", ".join(drivers) or None,
    }


def _device_names(backend: str) -> list[str]:
    """Returns the name of each accelerator of a backend."""
    if backend == "tensorflow":
        import tensorflow as tf

        devices = [each for each in tf.config.get_visible_devices() if each.device_type != "CPU"]
        return [
            tf.config.experimental.get_device_details(each).get("device_name", each.device_type)
            if each.device_type == "GPU"
            else each.device_type
            for each in devices
        ]
    if backend == "jax":
        import jax

        return [each.device_kind for each in jax.devices() if each.platform != "cpu"]
    if backend == "torch":
        import torch

        if torch.cuda.is_available():
            return [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        return ["Apple MPS"] if torch.backends.mps.is_available() else []
    return []


def _nvidia_devices() -> list[tuple[str, str, str]]:
    """Returns the name, the memory in MiB and the driver of each of NVIDIA's devices."""
    query = ["--query-gpu=name,memory.total,driver_version", "--format=csv,noheader,nounits"]
    answer = _answer(["nvidia-smi", *query]) or ""
    rows = [tuple(part.strip() for part in line.split(",")) for line in answer.splitlines()]
    return [(row[0], row[1], row[2]) for row in rows if len(row) == 3]


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _commit() -> str | None:
    """Returns the commit from which this package runs or was built, or `None`.

    It ends in `-dirty` if the checkout had changes that were not committed.
    """
    package = pathlib.Path(__file__).resolve().parent
    root = package.parent
    if (root / ".git").exists():
        # `--exclude` keeps tags out of the answer.
        describe = ["describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
        return _answer(["git", "-C", str(root), *describe])
    try:
        recorded = (package / COMMIT_FILE).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return None if not recorded or recorded.startswith("$") else recorded


def _answer(command: list[str]) -> str | None:
    """Returns what a program prints, or `None` if it fails or is not installed."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None
