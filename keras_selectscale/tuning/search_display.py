"""Progress of a search on the terminal."""

import time
from typing import Any

import rich.console
from rich.live import Live
from rich.table import Table

from keras_selectscale.console import Console
from keras_selectscale.tuning.report import best_trials
from keras_selectscale.tuning.search import Search
from keras_selectscale.tuning.search_folder import SearchFolder, TrialRow

BEST_SHOWN = 8
REFRESH_SECONDS = 0.5


class SearchDisplay:
    """A live table of the best trials on a terminal, and a line a trial elsewhere.

    It reads the folder of the search, so that it shows what workers do as well. It is a context
    manager, and the listener of a `DropTuner`.

    Args:
        folder: Folder of the search.
        search: What is searched.
        console: Where to show it; by default standard error.
    """

    def __init__(
        self, folder: SearchFolder, search: Search, console: rich.console.Console | None = None
    ):
        self.folder = folder
        self.search = search
        self.console = console or Console(stderr=True)
        self._shown: set[str] = set()
        self._began: dict[str, float] = {}
        self._running = ""
        self._refreshed = 0.0
        self._live: Live | None = None

    def __enter__(self) -> "SearchDisplay":
        # What had ended before is not told again.
        self._shown = {trial.id for trial in self.folder.read_trials() if trial.status != "RUNNING"}
        if self._shown:
            self.say(f"goes on: {len(self._shown)}{self._of()} trials are done")
        if self.console.is_terminal:
            self._live = Live(console=self.console, transient=True, auto_refresh=False)
            self._live.start()
        return self

    def __exit__(self, *_: Any) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def on_trial_begin(self, trial: Any) -> None:
        """Notes the time."""
        self._began[trial.trial_id] = time.monotonic()
        self._running = f"trial {trial.trial_id}"
        self.refresh()

    def on_epoch_end(self, trial: Any, seed: int, epoch: int) -> None:
        """Shows the epoch, on a terminal."""
        self._running = f"trial {trial.trial_id}, seed {seed}, epoch {epoch + 1}"
        if self._live is not None and time.monotonic() - self._refreshed > REFRESH_SECONDS:
            self.refresh()

    def on_trial_end(self, trial: Any) -> None:
        """Shows what the trial came to."""
        self.refresh()

    def refresh(self) -> None:
        """Reads the folder and shows what is new."""
        self._refreshed = time.monotonic()
        trials = self.folder.read_trials()
        for trial in trials:
            if trial.status == "RUNNING":
                self._began.setdefault(trial.id, time.monotonic())
            elif trial.id not in self._shown:
                self._shown.add(trial.id)
                if self._live is None:
                    self.say(self._line(trial, trials))
        if self._live is not None:
            self._live.update(self._table(trials), refresh=True)

    def say(self, text: str) -> None:
        """Shows a line."""
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def _line(self, trial: TrialRow, trials: list[TrialRow]) -> str:
        seconds = time.monotonic() - self._began.get(trial.id, time.monotonic())
        start = f"{len(self._shown)}{self._of()}  trial {trial.id}: {self._drop(trial)}"
        if trial.score is None:
            return f"{start}: failed, {trial.message}  {seconds:.1f} s"
        best = best_trials(trials)[0]
        return (
            f"{start}: validation error {_error(trial)}%  (best {_error(best)}%, trial {best.id})  "
            f"{seconds:.1f} s"
        )

    def _table(self, trials: list[TrialRow]) -> Table:
        failed = sum(trial.status == "FAILED" for trial in trials)
        running = [trial.id for trial in trials if trial.status == "RUNNING"]
        state = self._running if len(running) == 1 and self._running else f"running: {running}"
        table = Table(box=None, title_justify="left", caption_justify="left", pad_edge=False)
        table.title = f"{len(self._shown)}{self._of()} trials done, {failed} failed"
        table.caption = state if running else ""
        table.add_column("best trials", no_wrap=True)
        table.add_column("drop", no_wrap=True)
        table.add_column("validation error (%)", justify="right", no_wrap=True)
        for trial in best_trials(trials)[:BEST_SHOWN]:
            table.add_row(trial.id, self._drop(trial), _error(trial))
        return table

    def _of(self) -> str:
        total = self.search.total()
        return "" if total is None else f"/{total}"

    def _drop(self, trial: TrialRow) -> str:
        return describe(self.search, trial)


def describe(search: Search, trial: TrialRow) -> str:
    """Returns a trial's drop and what else is searched, in a few words."""
    rates = search.space.rates(trial.values)
    words = [rates["drop"]]
    if rates["top_rate"] is not None:
        words.append(f"top {rates['top_rate']:g}")
    if rates["retaining_rate"] is not None:
        words.append(f"retaining {rates['retaining_rate']:g}")
    words += [f"{name.replace('_', ' ')} {trial.values[f'recipe/{name}']}" for name in search.tune]
    if "tuner/epochs" in trial.values:
        words.append(f"{trial.values['tuner/epochs']} epochs")
    return ", ".join(words)


def _error(trial: TrialRow) -> str:
    spread = "" if trial.deviation is None else f" ± {trial.deviation:.2f}"
    return f"{trial.score:.2f}{spread}"
