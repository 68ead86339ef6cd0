"""The folder of a search."""

import contextlib
import os
import pathlib
import shutil
import statistics
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from keras_selectscale.training import DamagedRunError
from keras_selectscale.training.run_folder import read_json, write_json
from keras_selectscale.tuning.drop_tuner import DEATHS, FAILURE
from keras_selectscale.tuning.objective import OBJECTIVE
from keras_selectscale.tuning.search import Search

LOCK_SECONDS = 30.0


class TrialRow(NamedTuple):
    """A trial as it stands in the folder.

    Attributes:
        id: Its id.
        status: `"COMPLETED"`, `"FAILED"` or `"RUNNING"`; a trial that a kill interrupted is
            running until the search goes on.
        values: Its hyperparameters, the inactive ones left out.
        errors: Validation error in percent of each seed that is done.
        message: Why it failed.
    """

    id: str
    status: str
    values: dict[str, Any]
    errors: list[float]
    message: str = ""

    @property
    def score(self) -> float | None:
        """Mean over the seeds, where the trial is completed."""
        return statistics.fmean(self.errors) if self.status == "COMPLETED" else None

    @property
    def deviation(self) -> float | None:
        """Standard deviation over the seeds, where there are two or more."""
        done = self.status == "COMPLETED" and len(self.errors) > 1
        return statistics.stdev(self.errors) if done else None


class SearchFolder:
    """A search's files: `search.json`, a folder a trial, the state of KerasTuner, the report.

    Args:
        path: The folder; it need not exist.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = pathlib.Path(path)
        self._ended: dict[pathlib.Path, TrialRow] = {}

    @property
    def config_path(self) -> pathlib.Path:
        """What is searched."""
        return self.path / "search.json"

    @property
    def csv_path(self) -> pathlib.Path:
        """All trials."""
        return self.path / "trials.csv"

    @property
    def figure_path(self) -> pathlib.Path:
        """The picture of the trials."""
        return self.path / "heatmap.png"

    @property
    def report_path(self) -> pathlib.Path:
        """The best trial, and what the winner came to on the test images."""
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
        """Makes the folder for a search, or takes up the one that is there.

        Only the number of trials and the data folder may have changed; that of a worker, which may
        be on another machine, is not recorded.

        Raises:
            ValueError: Where the folder holds another search, or is no search's.
            OSError: Where it cannot be made or written.
        """
        if self.config_path.exists():
            theirs = self.read_search().as_json()
            ours = search.as_json()
            # The search has a seed of its own.
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
                    "begin anew with --no-resume"
                )
            if theirs == ours and (for_worker or self.read_data_dir() == data_dir):
                return
        elif self.path.exists() and (not self.path.is_dir() or self._entries()):
            raise ValueError(
                f"{self.path} exists and is no folder of a search (no search.json in it)"
            )
        self.path.mkdir(parents=True, exist_ok=True)
        content = {"search": search.as_json(), "environment": environment, "data_dir": data_dir}
        with self.lock():
            write_json(self.config_path, content)

    def remove(self, seconds: float = LOCK_SECONDS) -> None:
        """Removes a search that is there, to begin anew.

        Args:
            seconds: How long to wait for one that is running there to end.

        Raises:
            ValueError: Where the folder is no search's, or one is running there.
        """
        if self.path.exists() and self._entries():
            self.read_search()
            with self.lock(seconds):
                for entry in self._entries():
                    if entry.is_dir() and not entry.is_symlink():
                        shutil.rmtree(entry)
                    else:
                        entry.unlink()

    def _entries(self) -> list[pathlib.Path]:
        """Returns what the folder holds, but for the lock, which another process may hold."""
        return [entry for entry in self.path.iterdir() if entry != self._lock_path]

    @property
    def _lock_path(self) -> pathlib.Path:
        return self.path / ".lock"

    def read_search(self) -> Search:
        """Returns the search of `search.json`.

        Raises:
            FileNotFoundError: Where the folder is no search's.
            DamagedRunError: Where the file is damaged.
        """
        if not self.config_path.exists():
            raise FileNotFoundError(f"{self.path} is no folder of a search (no search.json in it)")
        try:
            return Search.from_json(read_json(self.config_path).get("search", {}))
        except ValueError as error:
            raise DamagedRunError(f"{self.config_path} is damaged: {error}") from None

    def read_data_dir(self) -> str | None:
        """Returns the folder of the prepared datasets, where one was given."""
        return read_json(self.config_path).get("data_dir")

    def read_trials(self) -> list[TrialRow]:
        """Returns the trials in the order in which they began.

        Raises:
            DamagedRunError: Where a file is damaged.
        """
        oracle = self.path / "oracle.json"
        order = read_json(oracle).get("start_order", []) if oracle.exists() else []
        rows = {}
        for path in sorted(self.path.glob("trial_*/trial.json")):
            row = self._ended.get(path) or _read_trial(path)
            if row.status != "RUNNING":
                self._ended[path] = row
            rows[row.id] = row
        rank = {trial_id: number for number, trial_id in enumerate(order)}
        return sorted(rows.values(), key=lambda row: (rank.get(row.id, len(rank)), row.id))

    def note_death(self, worker: str) -> None:
        """Notes that a worker died, in the trial that it had."""
        oracle = self.path / "oracle.json"
        ongoing = read_json(oracle).get("ongoing_trials", {}) if oracle.exists() else {}
        if worker in ongoing:
            with (self.path / f"trial_{ongoing[worker]}" / DEATHS).open("a") as file:
                file.write(f"{worker}\n")

    @contextlib.contextmanager
    def lock(self, seconds: float = LOCK_SECONDS) -> Iterator[None]:
        """Keeps a second search out of the folder; the system lets go of it after a kill.

        Args:
            seconds: How long to wait for another one to end.

        Raises:
            ValueError: Where another one is still at it then.
        """
        try:
            import fcntl
        except ImportError:  # There is none on Windows.
            yield
            return
        with self._lock_path.open("w") as file:
            end = time.monotonic() + seconds
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except OSError:
                    if time.monotonic() >= end:
                        raise ValueError(
                            f"{self.path} is in use: waited {seconds:g} s for the search that is "
                            "running there to end"
                        ) from None
                    time.sleep(0.2)
            yield


def _read_trial(path: pathlib.Path) -> TrialRow:
    content = read_json(path)
    try:
        metrics = content["metrics"]["metrics"]
        observations = metrics.get(OBJECTIVE, {"observations": []})["observations"]
        status = content["status"]
        return TrialRow(
            id=content["trial_id"],
            status="RUNNING" if status == "INVALID" else status,
            values=content["hyperparameters"]["values"],
            # A worker's have been through 32-bit numbers.
            errors=[round(value, 5) for each in observations for value in each["value"]],
            message=_message(path.parent, content["message"]) if status == "FAILED" else "",
        )
    except (KeyError, TypeError) as error:
        raise DamagedRunError(f"{path} is damaged: {error!r}") from None


def _message(folder: pathlib.Path, message: str | None) -> str:
    failure = folder / FAILURE
    text = message or (failure.read_text(encoding="utf-8") if failure.exists() else "")
    return (text.strip().splitlines() or ["no reason is known"])[0]
