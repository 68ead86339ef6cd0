"""The folder of a search."""

import contextlib
import math
import os
import pathlib
import time
from collections.abc import Callable, Iterator
from typing import Any

from keras_selectscale import files
from keras_selectscale.checks import shown
from keras_selectscale.object_checks import as_path
from keras_selectscale.regular_files import check_links
from keras_selectscale.tuning.objective import OBJECTIVE, TrialRow
from keras_selectscale.tuning.search import Search
from keras_selectscale.tuning.state import (
    DEATHS_FILE,
    FAILURE_FILE,
    ORACLE_FILE,
    read_oracle,
    read_trial,
)

LOCK_SECONDS = 30.0
# All files that a search writes, in this version or an older one.
RUN_FILES = ("config.json", "history.csv", "checkpoint*.keras", "result.json", ".lock")
OWN_FILES = (
    "search.json",
    ORACLE_FILE,
    "tuner.json",
    "tuner[0-9]*.json",
    "chief*.json",
    "worker*.json",
    "trials.csv",
    "heatmap.png",
    "report.json",
    ".search.json.part",
    f".{ORACLE_FILE}.part",
    *(f".{name}.part" for name in ("tuner*.json", "chief*.json", "worker*.json")),
    *(f".{name}.part" for name in ("trials.csv", "heatmap.png", "report.json")),
    "trial_*/trial.json",
    f"trial_*/{FAILURE_FILE}",
    f"trial_*/{DEATHS_FILE}",
    "trial_*/*.weights.h5",
    *(f"trial_*/{name}" for name in ("seed*.checkpoint.zip", ".seed*.checkpoint.zip.part")),
    "trial_*/build_config.json",
    "trial_*/.trial.json.part",
    f"trial_*/.{FAILURE_FILE}.part",
    "tensorboard/*/seed*/events.out.tfevents.*",
    "workers/*.log",
    *(f"winner*/{name}" for name in RUN_FILES),
    *(f"winner*/.{name}.part" for name in RUN_FILES),
    "winner*/.checkpoint.part.keras",
    "winner*/tensorboard/*/events.out.tfevents.*",
)
# The folders in which they are, and the files to which something is appended.
OWN_PLACES = (
    "trial_*",
    f"trial_*/{DEATHS_FILE}",
    "workers",
    "workers/*.log",
    "tensorboard",
    "tensorboard/*",
    "tensorboard/*/seed*",
    "winner*",
    "winner*/tensorboard",
)


class SearchFolder:
    """A search's files: `search.json`, a folder per trial, KerasTuner's state, and the report.

    Args:
        path: The folder, which need not exist.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = as_path("path", path)
        self._ended: dict[pathlib.Path, TrialRow] = {}
        self._removed = False

    @property
    def config_path(self) -> pathlib.Path:
        """File with the settings of the search."""
        return self.path / "search.json"

    @property
    def csv_path(self) -> pathlib.Path:
        """Table of all trials."""
        return self.path / "trials.csv"

    @property
    def figure_path(self) -> pathlib.Path:
        """The picture of the trials."""
        return self.path / "heatmap.png"

    @property
    def report_path(self) -> pathlib.Path:
        """The best trial, and the winner's result on the test images."""
        return self.path / "report.json"

    @property
    def winner_path(self) -> pathlib.Path:
        """Folder of the winner's run on all training images."""
        return self.path / "winner"

    def open(
        self,
        search: Search,
        environment: dict[str, Any],
        data_dir: str | None = None,
        *,
        for_worker: bool = False,
    ) -> None:
        """Creates the folder for a search, or checks that it holds this search.

        Only the number of trials and the data folder may differ.

        Args:
            search: The search.
            environment: What is recorded of versions, devices and so on.
            data_dir: Folder of the prepared datasets to record for `training_command`, or `None`,
                as on the command line, because search folders are published.
            for_worker: Whether this is a worker, which records nothing in an existing folder.

        Raises:
            ValueError: If the folder holds another search, something else, or a link to a folder,
                or if `check_used` raises it.
            OSError: If it cannot be created or written.
        """
        check_links(self.path, *OWN_PLACES)
        if self.config_path.exists():
            began = self.read_search()
            theirs, ours = began.as_json(), search.as_begun(began).as_json()
            # The recipe has its own seed.
            flat = [
                {**each["recipe"], "recipe seed": each["recipe"]["seed"], **each, "recipe": None}
                for each in (theirs, ours)
            ]
            changed = ", ".join(
                f"{key}: {flat[0].get(key)!r} there, {flat[1].get(key)!r} here"
                for key in sorted(flat[1])
                if key != "trials" and flat[0].get(key) != flat[1].get(key)
            )
            if changed:
                raise ValueError(
                    f"{self.path} holds another search ({changed}): choose another folder, or "
                    "start over with --no-resume"
                )
            if theirs == ours and (for_worker or self.read_data_dir() == data_dir):
                return
        else:
            search.check_used()
            folder = self.path.is_dir() and not any(self.path.iterdir())
            if self.path.exists() and not self._removed and not folder:
                raise ValueError(
                    f"{self.path} exists and is not the folder of a search (it has no search.json)"
                )
        self.path.mkdir(parents=True, exist_ok=True)
        content = {"search": search.as_json(), "environment": environment, "data_dir": data_dir}
        with self.lock():
            files.write_json(self.config_path, content)

    def remove(self, seconds: float = LOCK_SECONDS) -> None:
        """Removes the files of a search, to start over. All other files stay.

        Args:
            seconds: How long to wait for a search that is running there.

        Raises:
            FileNotFoundError: If the folder holds other files and no search.
            ValueError: If a search is running there.
        """
        if not self.path.exists() or not any(self.path.iterdir()):
            return
        self.read_search()
        with self.lock(seconds):
            own = [path for pattern in OWN_FILES for path in self.path.glob(pattern)]
            own = [path for path in own if self._is_inside(path) and path.name != ".lock"]
            # The file that identifies the folder is removed last, in case of an interruption.
            for path in sorted(own, key=lambda path: path == self.config_path):
                path.unlink()
            folders = {folder for path in own for folder in path.parents} - set(self.path.parents)
            for folder in sorted(folders - {self.path}, reverse=True):
                with contextlib.suppress(OSError):  # The folder holds other files.
                    folder.rmdir()
        self._ended = {}
        self._removed = True

    def _is_inside(self, path: pathlib.Path) -> bool:
        """Returns whether a file is in the folder itself, not behind a symbolic link."""
        between = [self.path / each for each in path.relative_to(self.path).parents]
        return path.is_file() and not any(each.is_symlink() for each in between)

    def read_search(self) -> Search:
        """Returns the search of `search.json`.

        Raises:
            FileNotFoundError: If the folder holds no search.
            DamagedFileError: If the file is damaged.
        """
        if not self.config_path.exists():
            what = "is not the folder of a search (it has no search.json)"
            raise FileNotFoundError(f"{self.path} {what}")
        content = files.read_json(self.config_path).get("search", {})
        return Search.from_json(content, self.config_path, "search")

    def read_data_dir(self) -> str | None:
        """Returns the folder of the prepared datasets, if one was given."""
        data_dir = files.read_json(self.config_path).get("data_dir")
        return files.convert(data_dir, str | None, self.config_path, "data_dir")  # type: ignore[arg-type]

    def read_trials(
        self, on_damage: Callable[[files.DamagedFileError], None] | None = None
    ) -> list[TrialRow]:
        """Returns the trials in the order in which they began.

        Args:
            on_damage: Called with the error of each damaged trial, which is then left out; `None`
                to raise the error.

        Raises:
            DamagedFileError: If a file is damaged.
        """
        order = []
        if (self.path / ORACLE_FILE).exists():
            order = read_oracle(self.path).get("start_order", [])
        rows = {}
        for path in sorted(self.path.glob("trial_*/trial.json")):
            try:
                row = self._ended.get(path) or _read_row(path)
            except files.DamagedFileError as error:
                if on_damage is None:
                    raise
                on_damage(error)
                continue
            if row.status != "RUNNING":
                self._ended[path] = row
            rows[row.id] = row
        rank = {trial_id: number for number, trial_id in enumerate(order)}
        return sorted(rows.values(), key=lambda row: (rank.get(row.id, len(rank)), row.id))

    def note_death(self, worker: str) -> None:
        """Records the death of a worker in its trial."""
        if not (self.path / ORACLE_FILE).exists():
            return
        ongoing = read_oracle(self.path).get("ongoing_trials", {})
        if worker in ongoing:
            with (self.path / f"trial_{ongoing[worker]}" / DEATHS_FILE).open("a") as file:
                file.write(f"{worker}\n")

    @contextlib.contextmanager
    def lock(self, seconds: float = LOCK_SECONDS) -> Iterator[None]:
        """Keeps a second search out of the folder. The lock ends with the process that holds it.

        Args:
            seconds: How long to wait for a search that is running there.

        Raises:
            ValueError: If it is still running then.
        """
        end = time.monotonic() + seconds
        with contextlib.ExitStack() as held:
            while True:
                try:
                    held.enter_context(files.lock(self.path))
                    break
                except BlockingIOError:
                    if time.monotonic() >= end:
                        why = f"waited {seconds:g} s for the search that is running there to end"
                        raise ValueError(f"{self.path} is in use: {why}") from None
                    time.sleep(0.2)
            yield


def _read_row(path: pathlib.Path) -> TrialRow:
    content = read_trial(path)
    metric = content["metrics"]["metrics"].get(OBJECTIVE, {"observations": []})
    status = content["status"]
    values = [value for each in metric["observations"] for value in each["value"]]
    if not all(map(math.isfinite, values)) or (status == "COMPLETED" and not values):
        raise files.DamagedFileError(
            f"{path} is damaged: the field `metrics.metrics.{OBJECTIVE}`: expected finite numbers, "
            f"one or more in a completed trial, received {shown(values)}"
        )
    return TrialRow(
        id=content["trial_id"],
        status=status if status in ("COMPLETED", "FAILED") else "RUNNING",
        values=content["hyperparameters"]["values"],
        # The values of a worker have been rounded to 32 bits.
        errors=[round(value, 5) for value in values],
        message=_message(path.parent, content["message"]) if status == "FAILED" else "",
    )


def _message(folder: pathlib.Path, message: str | None) -> str:
    failure = folder / FAILURE_FILE
    text = message or (files.read_text(failure) if failure.exists() else "")
    return (text.strip().splitlines() or ["the reason is not known"])[0]
