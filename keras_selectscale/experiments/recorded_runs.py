"""The finished runs in folders, with the damaged and the unfinished ones by name."""

import os
import pathlib
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from keras_selectscale.training import DamagedRunError, Recipe, RunFolder


class RecordedRun(NamedTuple):
    """A finished run.

    Attributes:
        path: Its folder.
        recipe: Its recipe.
        result: The content of its `result.json`.
        environment: What it was made on, as its `config.json` records it.
    """

    path: pathlib.Path
    recipe: Recipe
    result: dict[str, Any]
    environment: dict[str, Any]


class Found(NamedTuple):
    """What a search for runs found.

    Attributes:
        runs: The finished runs.
        unfinished: Folders of runs without a result.
        damaged: One sentence for each damaged run.
    """

    runs: list[RecordedRun]
    unfinished: list[pathlib.Path]
    damaged: list[str]


def find_runs(folders: Iterable[str | os.PathLike], outside: Sequence[pathlib.Path] = ()) -> Found:
    """Reads every run in some folders, however deep.

    A damaged run does not keep the others from being read.

    Args:
        folders: The folders.
        outside: Folders within them that are left out.

    Raises:
        FileNotFoundError: If a folder does not exist.
        ValueError: If no folder of a run was found, and none was left out.
    """
    found = Found([], [], [])
    seen: set[pathlib.Path] = set()
    for folder in map(pathlib.Path, folders):
        if not folder.is_dir():
            raise FileNotFoundError(f"{folder} is not a folder")
        for config in sorted(folder.rglob("config.json")):
            if any(config.is_relative_to(other) for other in outside):
                continue
            if config.resolve() not in seen:
                seen.add(config.resolve())
                _read(RunFolder(config.parent), found)
    if not any(found) and not outside:
        raise ValueError(f"no run was found in {', '.join(map(str, folders))} (no config.json)")
    return found


def _read(run: RunFolder, found: Found) -> None:
    try:
        recipe, result = run.recipe(), run.read_result()
        environment = run.read_config().get("environment", {})
        if result is not None:
            _check_result(result, run.result_path)
    except (DamagedRunError, OSError, ValueError) as error:
        found.damaged.append(" ".join(str(error).split()))
        return
    if result is None:
        found.unfinished.append(run.path)
    else:
        found.runs.append(RecordedRun(run.path, recipe, result, environment))


def _check_result(result: dict[str, Any], path: pathlib.Path) -> None:
    """Raises a `DamagedRunError` if a number is out of its range."""
    errors = [result["test_error"], *(result.get("test_class_errors") or ())]
    ranges = [("test_error", error, 100.0) for error in errors]
    ranges += [("test_ece", result.get("test_ece"), 1.0), ("test_nll", result.get("test_nll"), 1e9)]
    for name, value, most in ranges:
        if value is not None and not 0 <= value <= most:
            raise DamagedRunError(f"{path} is damaged: {name} is {value}")
