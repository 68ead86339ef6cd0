"""What a result was made with."""

import importlib.metadata
import os
import pathlib
import platform
import subprocess

import keras

from keras_selectscale.version import __version__

PACKAGES = ("keras", "tensorflow", "jax", "torch", "numpy", "tensorflow-datasets")


def describe() -> dict[str, object]:
    """Returns versions, backend, precision and machine, as a run's config records them."""
    return {
        "keras_selectscale": __version__,
        "commit": _commit(),
        "python": platform.python_version(),
        "backend": keras.backend.backend(),
        "dtype_policy": keras.config.dtype_policy().name,
        "packages": {name: _version(name) for name in PACKAGES if _version(name)},
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
    }


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _commit() -> str | None:
    """Returns the commit of the checkout that this package runs from, if it does."""
    root = pathlib.Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    try:
        answer = subprocess.run(
            ["git", "-C", str(root), "rev-parse", "HEAD"],
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() or None
