"""JAX's persistent compilation cache, in the user's cache folder."""

import hashlib
import os
import pathlib
import platform
import stat
import sys
import warnings
from typing import Any

import keras

from keras_selectscale.training.speed import cpu_flags

# `off`, or another folder.
SWITCH = "KERAS_SELECTSCALE_COMPILATION_CACHE"
OFF = ("off", "0", "false", "no")
# Shorter compilations are repeated, because reading them takes a similar time.
SHORTEST_SECONDS = 0.5
# Beyond it, the compilations that are unused for the longest time are removed.
LARGEST_BYTES = 2 * 2**30
# JAX continues without its cache after these warnings.
WARNINGS = "Error (reading|writing) persistent compilation cache"


def enable_compilation_cache() -> pathlib.Path | None:
    """Lets JAX keep compiled programs, so that the next run of a network starts at once.

    Nothing changes if JAX has a cache already (`jax_compilation_cache_dir`), if its cache is
    disabled, on another backend, and if the folder cannot be used. No error is raised.

    Returns:
        The folder, or `None` if nothing has changed.
    """
    if keras.backend.backend() != "jax":
        return None
    import jax

    config: Any = jax.config
    if config.jax_compilation_cache_dir or not config.jax_enable_compilation_cache:
        return None
    try:
        folder = cache_folder()
        if folder is None:
            return None
        _prepare(folder)
        _remove_oldest(folder.parent)
    except (OSError, RuntimeError):  # The latter if the home folder is unknown.
        return None
    warnings.filterwarnings("ignore", WARNINGS)
    config.update("jax_compilation_cache_dir", str(folder))
    config.update("jax_persistent_cache_min_compile_time_secs", SHORTEST_SECONDS)
    return folder


def cache_folder() -> pathlib.Path | None:
    """Returns the folder for the compilations of this version of JAX on this processor.

    Compilations for a CPU may use instructions that another one lacks, and several machines may
    share a home folder.

    Returns:
        `None` if the cache is switched off.

    Raises:
        RuntimeError: If the home folder of the user is unknown.
    """
    import jax

    chosen = os.environ.get(SWITCH, "").strip()
    if chosen.lower() in OFF:
        return None
    processor = " ".join([platform.machine(), *sorted(cpu_flags())])
    name = f"jax-{jax.__version__}-{hashlib.sha256(processor.encode()).hexdigest()[:12]}"
    return (pathlib.Path(chosen) if chosen else _user_cache() / "keras-selectscale") / name


def _user_cache() -> pathlib.Path:
    """Returns the platform's folder for the caches of a user."""
    given = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(given):  # Relative ones are to be ignored, according to its specification.
        return pathlib.Path(given)
    if sys.platform == "win32" and os.environ.get("LOCALAPPDATA"):
        return pathlib.Path(os.environ["LOCALAPPDATA"])
    if sys.platform == "darwin":
        return pathlib.Path.home() / "Library" / "Caches"
    return pathlib.Path.home() / ".cache"


def _prepare(folder: pathlib.Path) -> None:
    """Creates a folder that only its user can write: JAX executes what it finds there.

    Raises:
        OSError: If the folder cannot be written, or others can write it.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.stat()
    if hasattr(os, "getuid") and (
        found.st_uid != os.getuid() or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    ):
        raise PermissionError(f"{folder} can be written by others")
    probe = folder / f".{os.getpid()}.probe"
    probe.touch()
    probe.unlink()


def _remove_oldest(root: pathlib.Path) -> None:
    """Keeps the compilations of all folders below the largest size."""
    found = []
    for path in root.glob("jax-*/*-cache"):
        used = path.stat()
        found.append((max(used.st_atime, used.st_mtime), used.st_size, path))
    size = sum(each for _, each, _ in found)
    for _, each, path in sorted(found):
        if size <= LARGEST_BYTES:
            return
        path.unlink(missing_ok=True)
        size -= each
