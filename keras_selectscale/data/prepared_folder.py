"""Finds prepared TensorFlow Datasets on the disk, and says how to prepare a missing one."""

import importlib.util
import json
import os
import pathlib
import re
import shlex
from collections.abc import Iterable

from keras_selectscale.object_checks import as_path

# Both are written before a folder gets its final name; a folder without them is half a copy.
METADATA = ("dataset_info.json", "features.json")


def data_folder(data_dir: str | os.PathLike[str] | None) -> pathlib.Path:
    """Returns the folder of all prepared datasets; `None` stands for TensorFlow Datasets' own.

    Raises:
        TypeError: If `data_dir` is not a path.
        ValueError: If it, or the environment variable `TFDS_DATA_DIR`, cannot be a folder.
    """
    if data_dir is not None:
        return as_path("data_dir", data_dir)
    from_environment = os.environ.get("TFDS_DATA_DIR")
    if from_environment:
        return as_path("TFDS_DATA_DIR", from_environment)
    return as_path("data_dir", "~/tensorflow_datasets")


def find_prepared(name: str, data_dir: str | os.PathLike[str] | None) -> pathlib.Path:
    """Returns the version folder of a prepared dataset, or explains at once how to get it.

    Without this check, TensorFlow Datasets tries to download, and offline it tries for minutes.
    Neither it nor TensorFlow is imported.

    Args:
        name: Name of a TensorFlow Datasets builder, `NAME`, `NAME/CONFIG` or either with a version,
            `NAME:1.0.0`.
        data_dir: As `data_folder` takes it.

    Returns:
        The folder of the version, or of the newest version that has its metadata.

    Raises:
        FileNotFoundError: If there is none, in one line with the command that prepares it.
    """
    folder = data_folder(data_dir)
    bare, _, wanted = name.partition(":")
    home = folder / bare
    entries = sorted(home.iterdir()) if home.is_dir() else []
    pattern = re.escape(wanted) if wanted else r"\d+\.\d+\.\d+"
    versions = sorted(
        (entry for entry in entries if re.fullmatch(pattern, entry.name)),
        key=lambda entry: tuple(map(int, entry.name.split("."))),
    )
    complete = [
        version for version in versions if all((version / file).is_file() for file in METADATA)
    ]
    if complete:
        return complete[-1]
    if not home.is_dir():
        found = f"there is no folder {home}"
    elif versions:
        missing = [file for file in METADATA if not (versions[-1] / file).is_file()]
        found = f"{versions[-1]} has no {' and no '.join(missing)}"
    elif any("incomplete." in entry.name for entry in entries):
        found = f"{home} holds only an unfinished preparation"
    elif configs := _configs(entries):
        found = f"{home} holds no version of it, but of {', '.join(configs)}"
    else:
        found = f"{home} holds no version {wanted or 'of it'}"
    raise FileNotFoundError(
        f"Dataset {name} is not prepared: {found}. "
        + preparation(name, folder, versions[-1] if versions else None)
    )


def preparation(name: str, folder: pathlib.Path, broken: pathlib.Path | None = None) -> str:
    """Returns the sentence that says how to prepare a dataset, or how to do without TensorFlow.

    Args:
        name: As `find_prepared` takes it.
        folder: Folder of all prepared datasets.
        broken: A version folder in the way: as long as it exists, TensorFlow Datasets considers the
            dataset prepared and does nothing.
    """
    if not _is_installed("tensorflow"):
        code = (
            "from keras_selectscale import data; "
            f"data.pack(data.load({json.dumps(f'tfds:{name}')}), {json.dumps('packed-data')})"
        )
        return (
            "Preparing it needs TensorFlow, which is not installed. Pack the dataset on a machine "
            f"that has it: python -c {shlex.quote(code)}; then copy packed-data and pass it as "
            "data_dir"
        )
    code = (
        f"import tensorflow_datasets as tfds; tfds.builder({json.dumps(name)}, "
        f"data_dir={json.dumps(str(folder))}).download_and_prepare()"
    )
    command = f"it (once, with a network): python -c {shlex.quote(code)}"
    if not _is_installed("tensorflow_datasets"):
        command += " (after pip install 'keras-selectscale[data]')"
    if broken:
        return f"Remove {shlex.quote(str(broken))}, then prepare {command}"
    return f"Prepare {command}"


def _configs(entries: Iterable[pathlib.Path]) -> list[str]:
    """Returns the prepared configs by their names."""
    return [
        f"{entry.parent.name}/{entry.name}"
        for entry in entries
        if entry.is_dir() and any(each.is_file() for each in entry.glob(f"*/{METADATA[0]}"))
    ]


def _is_installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None
