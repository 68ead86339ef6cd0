"""Checks for optional packages, and records the versions and the machine of a result."""

import importlib.metadata
import importlib.util
import os
import pathlib
import platform
import subprocess

from keras_selectscale.version import __version__

PACKAGES = ("keras", "tensorflow", "jax", "torch", "numpy", "tensorflow-datasets")


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
    }


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _commit() -> str | None:
    """Returns the commit of the checkout from which this package runs, or `None`."""
    root = pathlib.Path(__file__).resolve().parents[1]
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
