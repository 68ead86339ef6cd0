"""Finding what TensorFlow Datasets prepared, by looking at the disk alone."""

import json
import os
import pathlib
import re
import shlex
from collections.abc import Iterable

# Both are written before a folder gets its final name; a folder without them is half a copy.
METADATA = ("dataset_info.json", "features.json")


def data_folder(data_dir: str | os.PathLike[str] | None) -> pathlib.Path:
    """Returns the folder of all prepared datasets, `None` as TensorFlow Datasets has it."""
    default = os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
    return pathlib.Path(default if data_dir is None else data_dir).expanduser()


def find_prepared(name: str, data_dir: str | os.PathLike[str] | None) -> pathlib.Path:
    """Returns the version folder of a prepared dataset, or says at once how to get it.

    Without this, TensorFlow Datasets would go to the network, and offline it tries for minutes.
    Neither it nor TensorFlow is imported.

    Args:
        name: Name of a TensorFlow Datasets builder, `NAME`, `NAME/CONFIG` or either with a version,
            `NAME:1.0.0`.
        data_dir: As `data_folder` takes it.

    Returns:
        The folder of the version, or of the newest one that has its metadata.

    Raises:
        FileNotFoundError: Where there is none, in one line with the command that prepares it.
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
        lacking = [file for file in METADATA if not (versions[-1] / file).is_file()]
        found = f"{versions[-1]} has no {' and no '.join(lacking)}"
    elif any("incomplete." in entry.name for entry in entries):
        found = f"{home} holds only a preparation that did not end"
    elif configs := _configs(entries):
        found = f"{home} holds no version of it, but of {', '.join(configs)}"
    else:
        found = f"{home} holds no version {wanted or 'of it'}"
    raise FileNotFoundError(
        f"Dataset {name} is not prepared: {found}. "
        + preparation(name, folder, versions[-1] if versions else None)
    )


def _configs(entries: Iterable[pathlib.Path]) -> list[str]:
    """Returns the configs that are prepared, as they are named."""
    return [
        f"{entry.parent.name}/{entry.name}"
        for entry in entries
        if entry.is_dir() and any(each.is_file() for each in entry.glob(f"*/{METADATA[0]}"))
    ]


def preparation(name: str, folder: pathlib.Path, broken: pathlib.Path | None = None) -> str:
    """Returns the sentence that says how to prepare a dataset.

    Args:
        name: As `find_prepared` takes it.
        folder: Folder of all prepared datasets.
        broken: A version folder in the way: as long as it is there, TensorFlow Datasets takes the
            dataset for prepared and does nothing.
    """
    code = (
        f"import tensorflow_datasets as tfds; tfds.builder({json.dumps(name)}, "
        f"data_dir={json.dumps(str(folder))}).download_and_prepare()"
    )
    first = f"Remove {shlex.quote(str(broken))}, then prepare" if broken else "Prepare"
    return f"{first} it (once, with a network): python -c {shlex.quote(code)}"
