"""The finished runs in folders, with the damaged and the unfinished ones by name."""

import json
import os
import pathlib
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from keras_selectscale.files import DamagedFileError, convert
from keras_selectscale.training import DamagedRunError, Recipe, RunFolder
from keras_selectscale.training.run_records import MadeOn

# What does not tell one group from another: the seed, and a choice that changes roundings only.
NOT_COMPARED = ("seed", "normalization")
# The largest value of each field of a result; all are at least 0.
LARGEST = {
    **dict.fromkeys(("test_error", "train_error", "test_top5_error"), 100.0),
    **dict.fromkeys(("test_loss", "test_nll"), 1e9),
    **dict.fromkeys(("parameters", "seconds", "startup_seconds", "images_per_second"), 1e15),
    "test_ece": 1.0,
}


class RecordedRun(NamedTuple):
    """A finished run.

    Attributes:
        path: Its folder.
        recipe: Its recipe.
        result: The content of its `result.json`.
        environment: What it was made on, as its `config.json` records it.
        made_on: The part of it that the tables show.
    """

    path: pathlib.Path
    recipe: Recipe
    result: dict[str, Any]
    environment: dict[str, Any]
    made_on: MadeOn


class Found(NamedTuple):
    """What a search for runs found.

    Attributes:
        runs: The finished runs, one of each recipe and seed.
        unfinished: Folders of runs without a result.
        damaged: One sentence for each damaged run.
        repeated: One sentence for each run with the recipe and the seed of an earlier one.
    """

    runs: list[RecordedRun]
    unfinished: list[pathlib.Path]
    damaged: list[str]
    repeated: list[str]

    def left_out(self, verb: str) -> list[str]:
        """Returns one line for each run that does not count, such as "damaged, not counted: …".

        Args:
            verb: What is not done with it, such as "counted".
        """
        lines = [f"damaged, not {verb}: {sentence}" for sentence in self.damaged]
        lines += [f"not finished, not {verb}: {path}" for path in self.unfinished]
        return lines + [f"repeated, not {verb}: {sentence}" for sentence in self.repeated]


def find_runs(folders: Iterable[str | os.PathLike], outside: Sequence[pathlib.Path] = ()) -> Found:
    """Reads every run in some folders, however deep.

    A damaged run does not keep the others from being read. If two runs have one recipe and one
    seed, the first one counts.

    Args:
        folders: The folders.
        outside: Folders within them that are left out.

    Raises:
        FileNotFoundError: If a folder does not exist.
        ValueError: If no folder of a run was found, and none was left out.
    """
    found = Found([], [], [], [])
    seen: set[pathlib.Path] = set()
    counted: dict[tuple[str, int], pathlib.Path] = {}
    for folder in map(pathlib.Path, folders):
        if not folder.is_dir():
            raise FileNotFoundError(f"{folder} is not a folder")
        for run in sorted({each.parent for each in _files(folder)}):
            if any(run.is_relative_to(other) for other in outside):
                continue
            if run.resolve() not in seen:
                seen.add(run.resolve())
                _read(RunFolder(run), found, counted)
    if not any(found) and not outside:
        raise ValueError(f"no run was found in {', '.join(map(str, folders))} (no config.json)")
    return found


def recipe_key(recipe: Recipe) -> str:
    """Returns what the runs of one group share, as text."""
    fields = {k: v for k, v in recipe.as_json().items() if k not in NOT_COMPARED}
    return json.dumps(fields, sort_keys=True)


def _files(folder: pathlib.Path) -> Iterable[pathlib.Path]:
    """Yields a file of each run; one that has lost its `config.json` still has its result."""
    yield from folder.rglob("config.json")
    for result in folder.rglob("result.json"):
        if (result.parent / "history.csv").exists():
            yield result


def _read(run: RunFolder, found: Found, counted: dict[tuple[str, int], pathlib.Path]) -> None:
    try:
        if not run.config_path.exists():
            raise DamagedRunError(f"{run.path} is damaged: it has a result and no config.json")
        recipe, result = run.recipe(), run.read_result()
        environment = run.read_config().get("environment", {})
        made_on = _as_made_on(environment, run.config_path)
        if result is not None:
            _check_result(result, run.result_path)
            _check_epochs(run, recipe, result)
    except (DamagedRunError, OSError, ValueError) as error:
        found.damaged.append(" ".join(str(error).split()))
        return
    if result is None:
        found.unfinished.append(run.path)
        return
    first = counted.setdefault((recipe_key(recipe), recipe.seed), run.path)
    if first != run.path:
        found.repeated.append(f"{run.path} has the recipe and the seed of {first}")
        return
    found.runs.append(RecordedRun(run.path, recipe, result, environment, made_on))


def _as_made_on(environment: dict[str, Any], path: pathlib.Path) -> MadeOn:
    try:
        json.dumps(environment, allow_nan=False)
    except ValueError:  # JSON cannot hold it, and the tables of --format json would not be JSON.
        raise DamagedFileError(f"{path} is damaged: a number is not finite") from None
    known = {name: environment[name] for name in MadeOn.__dataclass_fields__ if name in environment}
    return convert(known, MadeOn, path, "environment")


def _check_result(result: dict[str, Any], path: pathlib.Path) -> None:
    """Raises a `DamagedRunError` if a number is out of its range."""
    values = [(name, result.get(name)) for name in LARGEST]
    values += [("test_error", error) for error in result.get("test_class_errors") or ()]
    for name, value in values:
        if value is not None and not 0 <= value <= LARGEST[name]:
            raise DamagedRunError(f"{path} is damaged: {name} is {value}")


def _check_epochs(run: RunFolder, recipe: Recipe, result: dict[str, Any]) -> None:
    """Raises a `DamagedRunError` if the result or the history is not that of the whole recipe."""
    if result["epochs"] != recipe.epochs:
        raise DamagedRunError(
            f"{run.result_path} is damaged: epochs is {result['epochs']}, of {recipe.epochs} in "
            "config.json"
        )
    if run.history_path.exists() and len(rows := run.read_history()) != recipe.epochs:
        raise DamagedRunError(
            f"{run.history_path} is damaged: it has {len(rows)} of {recipe.epochs} epochs"
        )
