"""The folder of a run, in which no file is ever half-written."""

import contextlib
import csv
import dataclasses
import io
import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np

from keras_selectscale import environment as environments
from keras_selectscale import files
from keras_selectscale.files import DamagedFileError
from keras_selectscale.files import part_of as part_of
from keras_selectscale.files import read_json as read_json
from keras_selectscale.files import write_json as write_json
from keras_selectscale.files import write_text as write_text
from keras_selectscale.object_checks import as_instance, as_path
from keras_selectscale.regular_files import check_links
from keras_selectscale.tables import read_rows
from keras_selectscale.training.recipe import Recipe
from keras_selectscale.training.run_records import Config as Config
from keras_selectscale.training.run_records import HistoryRow as HistoryRow
from keras_selectscale.training.run_records import Result as Result


class RunFolder:
    """A run's files: `config.json`, `history.csv`, two checkpoints, `result.json` and logs.

    Args:
        path: The folder, which need not exist.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = as_path("path", path)

    @property
    def config_path(self) -> pathlib.Path:
        """The recipe and the environment of the run."""
        return self.path / "config.json"

    @property
    def history_path(self) -> pathlib.Path:
        """One row per epoch."""
        return self.path / "history.csv"

    @property
    def checkpoint_path(self) -> pathlib.Path:
        """The model, its optimizer and random states, and how far the run has come."""
        return self.path / "checkpoint.keras"

    @property
    def previous_checkpoint_path(self) -> pathlib.Path:
        """The checkpoint before that one. It exists until the run is finished."""
        return self.path / "checkpoint-previous.keras"

    @property
    def result_path(self) -> pathlib.Path:
        """The result. It exists once the run is finished."""
        return self.path / "result.json"

    @property
    def drops_path(self) -> pathlib.Path:
        """What the drops select, if the run was trained with diagnostics."""
        return self.path / "drops.csv"

    @property
    def maps_path(self) -> pathlib.Path:
        """Class activation maps after chosen epochs, if they were kept."""
        return self.path / "maps.npz"

    @property
    def log_path(self) -> pathlib.Path:
        """Folder of the TensorBoard logs."""
        return self.path / "tensorboard"

    def open(
        self, recipe: Recipe | dict[str, Any], environment: dict[str, Any] | None = None
    ) -> None:
        """Creates the folder for a recipe, or checks that it holds a run of this recipe.

        Args:
            recipe: The recipe, or what its `as_json` returns.
            environment: Versions, devices and so on to record; `None` for `environment.describe()`.

        Raises:
            DamagedFileError: If `config.json` is damaged.
            ValueError: If the folder holds a run of another recipe, something else, or a link in
                place of a folder.
            OSError: If the folder cannot be created or written.
        """
        kinds = (Recipe, dict)
        recipe = as_instance("recipe", recipe, kinds, "a Recipe, or what its `as_json` returns")
        ours = recipe if isinstance(recipe, Recipe) else Recipe.from_json(recipe)
        check_links(self.path, "tensorboard", "tensorboard/*")
        if self.config_path.exists():
            self._check_same(ours)
            return
        # A run that was killed while writing its first file has left a part of it.
        own = files.part_of(self.config_path)
        if self.path.exists() and (
            not self.path.is_dir() or any(entry != own for entry in self.path.iterdir())
        ):
            raise ValueError(
                f"{self.path} exists and is not the folder of a run (it has no config.json)"
            )
        self.path.mkdir(parents=True, exist_ok=True)
        if environment is None:
            # Distinguishes the run from those of earlier versions, which have another default.
            environment = {**environments.describe(), "steps_per_dispatch": "auto"}
        files.write_json(self.config_path, {"recipe": ours.as_json(), "environment": environment})

    def as_begun(self, recipe: Recipe) -> Recipe:
        """Returns a recipe with what the folder's run keeps as it began, whatever the recipe says.

        Args:
            recipe: A recipe. It is returned unchanged if the folder holds no run yet.

        Raises:
            DamagedFileError: If `config.json` is damaged.
        """
        return recipe.as_begun(self.recipe()) if self.config_path.exists() else recipe

    def _check_same(self, recipe: Recipe) -> None:
        theirs, ours = self.recipe().as_json(), self.as_begun(recipe).as_json()
        changed = ", ".join(
            f"{name}: {theirs[name]!r} there, {ours[name]!r} here"
            for name in ours
            if theirs[name] != ours[name]
        )
        if changed:
            raise ValueError(
                f"{self.path} holds a run of another recipe ({changed}): choose another name for "
                "this run, or remove that folder"
            )

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Keeps other processes of this machine from writing the run inside the context.

        Raises:
            BlockingIOError: If another process writes the run.
            OSError: If the folder cannot be written.
        """
        with files.lock(self.path):
            yield
            # A finished run is never written, so its lock is no longer needed.
            if self.result_path.exists():
                with contextlib.suppress(OSError):
                    (self.path / ".lock").unlink()

    def has_begun(self) -> bool:
        """Returns whether a training has begun in this folder before, and has not finished."""
        return (self.path / ".lock").exists() and not self.result_path.exists()

    def read_config(self) -> dict[str, Any]:
        """Returns the content of `config.json`.

        Raises:
            DamagedFileError: If the file is damaged.
            FileNotFoundError: If this is not the folder of a run.
        """
        if not self.config_path.exists():
            raise FileNotFoundError(
                f"{self.path} is not the folder of a run (it has no config.json)"
            )
        content = files.read_json(self.config_path)
        files.convert(content, Config, self.config_path)
        return content

    def record_images(self, images: dict[str, dict[str, Any]]) -> None:
        """Adds what tells the images of a run from others to `config.json`, or compares it.

        Args:
            images: `Dataset.digest` of each split.

        Raises:
            DamagedFileError: If `config.json` is damaged.
            ValueError: If the run began with other images.
        """
        content = self.read_config()
        began = content.get("images")
        if began is None:
            # A run of an earlier version may have begun with other images.
            if not self.checkpoint_path.exists():
                files.write_json(self.config_path, {**content, "images": images})
            return
        for split, found in images.items():
            if split in began and began[split] != found:
                raise ValueError(
                    f"Argument `images` must be those with which the run in {self.path} began. "
                    f"Received: other {split} images ({found}, {began[split]} there)"
                )

    def recipe(self) -> Recipe:
        """Returns the recipe of `config.json`; errors as in `read_config`."""
        return Recipe.from_json(self.read_config()["recipe"], self.config_path, "recipe")

    def read_recipe(self) -> dict[str, Any]:
        """Returns the recipe of `config.json` as JSON; errors as in `read_config`."""
        return self.recipe().as_json()

    def read_jit(self) -> bool | None:
        """Returns whether the run's training step was compiled.

        Returns:
            `None` if the run does not exist yet or did not record it.

        Raises:
            DamagedFileError: If `config.json` is damaged.
        """
        if not self.config_path.exists():
            return None
        recorded = self.read_config().get("environment", {}).get("jit")
        kind: Any = bool | None
        return files.convert(recorded, kind, self.config_path, "environment.jit")

    def read_steps_per_dispatch(self) -> int | str | None:
        """Returns the steps per dispatch with which the run began on JAX.

        Returns:
            A number, `"auto"`, or `None` for a run of an earlier version.

        Raises:
            DamagedFileError: If `config.json` is damaged.
        """
        recorded = self.read_config().get("environment", {}).get("steps_per_dispatch")
        kind: Any = int | Literal["auto"] | None
        field = "environment.steps_per_dispatch"
        found = files.convert(recorded, kind, self.config_path, field)
        if isinstance(found, int) and found < 1:
            raise DamagedFileError(
                f"{self.config_path} is damaged: the field `{field}`: expected a number of at "
                f"least 1, received {found}"
            )
        return found

    def read_result(self) -> dict[str, Any] | None:
        """Returns the content of `result.json`, or `None` if the run is not finished.

        Raises:
            DamagedFileError: If the file is damaged.
        """
        if not self.result_path.exists():
            return None
        content = files.read_json(self.result_path)
        files.convert(content, Result, self.result_path)
        return content

    def write_result(self, result: dict[str, Any]) -> None:
        """Writes `result.json`, which marks the run as finished."""
        files.write_json(self.result_path, result)

    def read_history(self) -> list[dict[str, str]]:
        """Returns the rows of `history.csv`, one per epoch, as text.

        Raises:
            DamagedFileError: If the file is damaged.
        """
        if not self.history_path.exists():
            return []
        found = read_rows(self.history_path, HistoryRow)
        for number, (_, row) in enumerate(found, start=1):
            if row.epoch != number:
                raise DamagedFileError(
                    f"{self.history_path} is damaged: the field `row {number}.epoch`: expected "
                    f"{number}, received {row.epoch}"
                )
        return [row for row, _ in found]

    def write_history(self, rows: Sequence[HistoryRow]) -> None:
        """Writes all rows of `history.csv`.

        Numbers are written as the shortest text that represents them in float32, in which Keras
        computes them. A file that an earlier version began with longer numbers keeps them.
        """
        number = str if self._has_long_numbers() else _shortest
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(field.name for field in dataclasses.fields(HistoryRow))
        writer.writerows(map(number, dataclasses.astuple(row)) for row in rows)
        files.write_text(self.history_path, text.getvalue())

    def _has_long_numbers(self) -> bool:
        try:
            rows = self.read_history()
        except DamagedFileError:
            return False
        values = [value for row in rows[:1] for name, value in row.items() if name != "epoch"]
        return any(_shortest(float(value)) != value for value in values)


def _shortest(value: int | float) -> str:
    """Returns the shortest text of a number that was computed in float32, such as 0.1."""
    exact = isinstance(value, float) and float(np.float32(value)) == value
    return str(np.float32(value)) if exact else str(value)
