"""The folder of a run, in which nothing is ever half-written."""

import contextlib
import csv
import io
import json
import os
import pathlib
from collections.abc import Iterator
from typing import Any

from keras_selectscale.training.damaged_run_error import DamagedRunError

try:
    import fcntl
except ImportError:  # On Windows; there nothing keeps two processes apart.
    fcntl = None  # type: ignore[assignment]

# What every result holds.
RESULT = ("test_error", "train_error", "parameters", "epochs", "seconds", "images_per_second")


class RunFolder:
    """A run's files: `config.json`, `history.csv`, two checkpoints, `result.json`, logs.

    Every file is written beside and renamed.

    Args:
        path: The folder; it need not exist.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = pathlib.Path(path)

    @property
    def config_path(self) -> pathlib.Path:
        """What made the run."""
        return self.path / "config.json"

    @property
    def history_path(self) -> pathlib.Path:
        """One row an epoch."""
        return self.path / "history.csv"

    @property
    def checkpoint_path(self) -> pathlib.Path:
        """The model, its optimizer and random states, and where the run stood."""
        return self.path / "checkpoint.keras"

    @property
    def previous_checkpoint_path(self) -> pathlib.Path:
        """The checkpoint before that one, for as long as the run is not done."""
        return self.path / "checkpoint-previous.keras"

    @property
    def result_path(self) -> pathlib.Path:
        """What came out; it exists once the run is done."""
        return self.path / "result.json"

    @property
    def log_path(self) -> pathlib.Path:
        """Folder of the TensorBoard logs."""
        return self.path / "tensorboard"

    def open(self, recipe: dict[str, Any], environment: dict[str, Any]) -> None:
        """Makes the folder for a recipe, or takes up the one that is there.

        Args:
            recipe: The recipe as JSON.
            environment: Versions and the like, recorded and not compared.

        Raises:
            ValueError: Where the folder holds a run of another recipe, or is no run's.
            OSError: Where it cannot be made or written.
        """
        if self.config_path.exists():
            theirs = self.read_recipe()
            changed = ", ".join(
                f"{key}: {theirs.get(key)!r} there, {recipe.get(key)!r} here"
                for key in sorted(recipe | theirs)
                if recipe.get(key) != theirs.get(key)
            )
            if changed:
                raise ValueError(
                    f"{self.path} holds a run of another recipe ({changed}): choose another name "
                    "for this run, or remove that folder"
                )
            return
        # A run that was killed while it wrote its first file left a part of it.
        own = part_of(self.config_path)
        if self.path.exists() and (
            not self.path.is_dir() or any(entry != own for entry in self.path.iterdir())
        ):
            raise ValueError(f"{self.path} exists and is no folder of a run (no config.json in it)")
        self.path.mkdir(parents=True, exist_ok=True)
        write_json(self.config_path, {"recipe": recipe, "environment": environment})

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Keeps other processes of this machine from writing the run meanwhile.

        The lock goes with the process that holds it, however it ends.

        Raises:
            BlockingIOError: Where another process writes the run.
            OSError: Where the folder cannot be written.
        """
        # Opened to write it, so that a folder in which nothing can be written is known at once.
        try:
            file = self.config_path.open("r+b")
        except OSError as error:
            raise cannot_be_written(self.config_path, error) from None
        with file:
            if fcntl is not None:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    raise BlockingIOError(
                        f"{self.path} is being written by another process"
                    ) from None
            yield

    def read_recipe(self) -> dict[str, Any]:
        """Returns the recipe of `config.json`, as JSON.

        Raises:
            FileNotFoundError: Where the folder is no run's.
            DamagedRunError: Where the file is damaged.
        """
        recipe = self.read_config().get("recipe")
        if not isinstance(recipe, dict):
            raise DamagedRunError(f"{self.config_path} is damaged: it holds no recipe")
        return recipe

    def read_jit(self) -> bool | None:
        """Returns whether the run's training step was compiled; `None` where it is not recorded.

        Raises:
            DamagedRunError: Where the file is damaged.
        """
        if not self.config_path.exists():
            return None
        recorded = self.read_config().get("environment")
        jit = recorded.get("jit") if isinstance(recorded, dict) else None
        return jit if isinstance(jit, bool) else None

    def read_config(self) -> dict[str, Any]:
        """Returns the content of `config.json`.

        Raises:
            FileNotFoundError: Where the folder is no run's.
            DamagedRunError: Where the file is damaged.
        """
        if not self.config_path.exists():
            raise FileNotFoundError(f"{self.path} is no folder of a run (no config.json in it)")
        return read_json(self.config_path)

    def read_result(self) -> dict[str, Any] | None:
        """Returns the content of `result.json`, or `None` where the run is not done."""
        if not self.result_path.exists():
            return None
        result = read_json(self.result_path)
        if missing := [name for name in RESULT if name not in result]:
            raise DamagedRunError(f"{self.result_path} is damaged: it holds no {missing[0]}")
        return result

    def read_history(self) -> list[dict[str, str]]:
        """Returns the rows of `history.csv`, one an epoch."""
        if not self.history_path.exists():
            return []
        try:
            with self.history_path.open(newline="", encoding="utf-8") as file:
                return list(csv.DictReader(file))
        except (ValueError, csv.Error) as error:
            raise DamagedRunError(f"{self.history_path} is damaged: {error}") from None

    def write_history(self, rows: list[dict[str, Any]]) -> None:
        """Writes all rows of `history.csv`."""
        text = io.StringIO()
        writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_text(self.history_path, text.getvalue())

    def write_result(self, result: dict[str, Any]) -> None:
        """Writes `result.json`, which makes the run done."""
        write_json(self.result_path, result)


def part_of(path: pathlib.Path) -> pathlib.Path:
    """Returns where a file is written before it is renamed."""
    return path.with_name(f".{path.name}.part")


def write_text(path: pathlib.Path, text: str) -> None:
    """Writes a file beside its place and renames it, so that it is whole or not there."""
    beside = part_of(path)
    try:
        with beside.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
        raise cannot_be_written(path, error) from None


def cannot_be_written(path: pathlib.Path, error: OSError) -> OSError:
    """Returns an error that names a run's file and says why it cannot be written."""
    reason = error.strerror or error
    return OSError(f"{path} cannot be written: {reason}; what was written before is kept")


def write_json(path: pathlib.Path, content: Any) -> None:
    """Writes a JSON file beside its place and renames it."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def read_json(path: pathlib.Path) -> dict[str, Any]:
    """Reads a JSON object; a `DamagedRunError` names the file where it is damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DamagedRunError(f"{path} is damaged: {error}") from None
    if not isinstance(content, dict):
        raise DamagedRunError(f"{path} is damaged: a JSON object was expected")
    return content
