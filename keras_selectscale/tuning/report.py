"""The progress and the report of a search."""

import csv
import io
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import rich.console
from rich.live import Live
from rich.table import Table

from keras_selectscale import environment
from keras_selectscale.console import Console
from keras_selectscale.data import Dataset
from keras_selectscale.files import write_json, write_text
from keras_selectscale.object_checks import as_instance
from keras_selectscale.training import Devices, Recipe, RunFolder, train
from keras_selectscale.training.recipe import training_command
from keras_selectscale.tuning.heatmap import draw_heatmap
from keras_selectscale.tuning.objective import TrialRow
from keras_selectscale.tuning.search import Search
from keras_selectscale.tuning.search_folder import SearchFolder
from keras_selectscale.tuning.state import decoded
from keras_selectscale.wording import counted

BEST_SHOWN, REFRESH_SECONDS = 8, 0.5
HELD_OUT = (
    "The trials were scored on {share:.0%} of the training images, held out of the training; no "
    "test image was read during the search. The best of many scores flatters its trial."
)
TESTED = "The winner was trained again on all training images, with one seed, and tested once."


def best_trials(trials: Sequence[TrialRow]) -> list[TrialRow]:
    """Returns the completed trials, best first; equal ones in the order of their start."""
    done = [trial for trial in trials if trial.score is not None]
    return sorted(done, key=lambda trial: trial.score or 0.0)


def finalists(search: Search, trials: Sequence[TrialRow]) -> list[TrialRow]:
    """Returns the trials that can win, best first.

    Trials that Hyperband trained for fewer epochs count only if no trial has run to the end.
    """
    ranked = best_trials(trials)
    most = max((trial.values.get("tuner/epochs", 0) for trial in ranked), default=0)
    return [trial for trial in ranked if trial.values.get("tuner/epochs", 0) == most]


def make_report(folder: SearchFolder) -> dict[str, Any]:
    """Writes `trials.csv`, `heatmap.png` and `report.json` of the trials so far.

    Returns:
        `search`; `counts` of the trials by status; `best` with the id, the recipe's `drop`,
        `top_rate` and `retaining_rate`, the `values` of all hyperparameters, `validation_error`,
        `deviation` and `errors` of each seed; `without_drop`, the lowest validation error of the
        trials without a drop, or `None`; `command`, which trains the winner; `winner`, its result
        on the test images, or `None` before that; `pruned`, the number of `trials` that were not
        trained with all seeds and the most `epochs` that this saved; `note`. Errors in percent.

    Raises:
        FileNotFoundError: If the folder does not hold a search.
        DamagedFileError: If a file is damaged.
    """
    search = as_instance("folder", folder, SearchFolder, "a SearchFolder").read_search()
    trials = folder.read_trials()
    for trial in trials:
        path = folder.path / f"trial_{trial.id}" / "trial.json"
        decoded(path, search.trial_recipe, trial.values)
    ranked = finalists(search, trials)
    write_text(folder.csv_path, _as_csv(search, trials))
    draw_heatmap(search, trials, folder.figure_path, ranked[0].id if ranked else None)
    report: dict[str, Any] = {
        "search": search.as_json(),
        "counts": dict(Counter(trial.status for trial in trials)),
        "best": None,
        "without_drop": None,
        "command": None,
        "winner": None,
        "pruned": _pruned(search, trials),
        "note": HELD_OUT.format(share=search.validation_share),
    }
    if ranked:
        best = ranked[0]
        recipe = search.trial_recipe(best.values)
        report["best"] = {
            "id": best.id,
            "drop": recipe.drop,
            "top_rate": recipe.top_rate,
            "retaining_rate": recipe.retaining_rate,
            "values": best.values,
            "validation_error": best.score,
            "deviation": best.deviation,
            "errors": best.errors,
        }
        report["command"] = training_command(recipe, folder.read_data_dir(), search.jit)
        report["winner"] = _winner_run(folder, recipe, best.id).read_result()
        plain = [trial for trial in ranked if trial.values["drop"] == "none"]
        report["without_drop"] = plain[0].score if plain else None
        report["note"] += f" {_gain(best, plain)}"
        if report["winner"] is not None:
            report["note"] += f" {TESTED}"
    write_json(folder.report_path, report)
    return report


def _pruned(search: Search, trials: Sequence[TrialRow]) -> dict[str, int]:
    skipped = [search.seeds - len(trial.errors) for trial in trials if trial.status == "COMPLETED"]
    return {
        "trials": sum(runs > 0 for runs in skipped),
        "epochs": sum(skipped) * search.recipe.epochs,
    }


def _gain(best: TrialRow, plain: Sequence[TrialRow]) -> str:
    """Returns a sentence on whether a drop helps, from the trials without one, best first."""
    if not plain:
        return "No trial without a drop ran to the end: whether a drop helps is not shown."
    if best is plain[0]:
        return "The best trial has no drop: none of the drops that were tried helps."
    return (
        f"The best trial without a drop, {plain[0].id}, has {_error(plain[0])}%: with the drop the "
        f"error is {(plain[0].score or 0.0) - (best.score or 0.0):.2f} points lower."
    )


def train_winner(folder: SearchFolder, images: Dataset, **options: Any) -> dict[str, Any] | None:
    """Trains the best trial's recipe on all training images, and tests it once.

    Args:
        folder: Folder of a finished search.
        images: The dataset with its test images.
        **options: Further arguments of `train`.

    Returns:
        The result of `train`, or `None` if no trial is completed.
    """
    search = as_instance("folder", folder, SearchFolder, "a SearchFolder").read_search()
    if not (ranked := finalists(search, folder.read_trials())):
        return None
    recipe = search.trial_recipe(ranked[0].values)
    run = _winner_run(folder, recipe, ranked[0].id)
    devices = Devices(jit=search.jit)
    run.open(recipe.as_json(), environment.describe() | devices.describe())
    return train(recipe, run, images, devices=devices, **options)


def _winner_run(folder: SearchFolder, recipe: Recipe, trial_id: str) -> RunFolder:
    """Returns the winner's run. If the winner has changed, the run of the earlier one is kept."""
    run = RunFolder(folder.winner_path)
    if run.config_path.exists() and run.read_recipe() != recipe.as_json():
        return RunFolder(folder.path / f"winner-{trial_id}")
    return run


def _as_csv(search: Search, trials: Sequence[TrialRow]) -> str:
    drawn_names = [
        f"{method}/{name}" for method in search.methods for name in search.space.choices(method)
    ]
    known = ["drop", *drawn_names, *(f"recipe/{field}" for field in search.tune)]
    # Hyperband adds the others.
    names = list(dict.fromkeys([*known, *(name for trial in trials for name in trial.values)]))
    seeds = [f"seed{seed}" for seed in range(search.seeds)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    rates = ["top_rate", "retaining_rate"]
    writer.writerow(["id", "status", *names, *rates, "score", "deviation", *seeds, "message"])
    for trial in trials:
        drawn = search.space.rates(trial.values)
        errors = [*trial.errors, *[None] * (len(seeds) - len(trial.errors))]
        writer.writerow(
            [trial.id, trial.status]
            + [trial.values.get(name) for name in names]
            + [drawn[name] for name in rates]
            + [_rounded(trial.score), _rounded(trial.deviation), *map(_rounded, errors)]
            + [trial.message]
        )
    return text.getvalue()


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 5)


class SearchDisplay:
    """A live table of the best trials on a terminal, and a line per trial elsewhere.

    It reads the folder, so that it also shows the trials of workers. It is a context manager and a
    listener of `DropTuner`. By default, `console` is standard error.
    """

    def __init__(
        self, folder: SearchFolder, search: Search, console: rich.console.Console | None = None
    ):
        self.folder = as_instance("folder", folder, SearchFolder, "a SearchFolder")
        self.search = as_instance("search", search, Search, "a Search")
        given = Console(stderr=True) if console is None else console
        self.console = as_instance("console", given, rich.console.Console, "a rich Console")
        self._shown: set[str] = set()
        self._began: dict[str, float] = {}
        self._running, self._refreshed = "", 0.0
        self._live: Live | None = None

    def __enter__(self) -> "SearchDisplay":
        # Trials that ended earlier are not reported again.
        self._shown = {trial.id for trial in self.folder.read_trials() if trial.status != "RUNNING"}
        if self._shown:
            self.say(f"resuming; trials done: {len(self._shown)}{self._of()}")
        if self.console.is_terminal:
            self._live = Live(console=self.console, transient=True, auto_refresh=False)
            self._live.start()
        return self

    def __exit__(self, *_: Any) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def on_trial_begin(self, trial: Any) -> None:
        """Records the time."""
        self._began[trial.trial_id] = time.monotonic()
        self._running = f"trial {trial.trial_id}"
        self.refresh()

    def on_epoch_end(self, trial: Any, seed: int, epoch: int) -> None:
        """Shows the epoch, on a terminal."""
        self._running = f"trial {trial.trial_id}, seed {seed}, epoch {epoch + 1}"
        if self._live is not None and time.monotonic() - self._refreshed > REFRESH_SECONDS:
            self.refresh()

    def on_trial_end(self, trial: Any) -> None:
        """Shows the result of the trial."""
        self.refresh()

    def refresh(self) -> None:
        """Reads the folder and shows the changes."""
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
        self.console.print(text, soft_wrap=True)

    def _line(self, trial: TrialRow, trials: list[TrialRow]) -> str:
        seconds = time.monotonic() - self._began.get(trial.id, time.monotonic())
        start = f"{len(self._shown)}{self._of()}  trial {trial.id}: {describe(self.search, trial)}"
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
        table.title = f"trials done: {len(self._shown)}{self._of()}, failed: {failed}"
        table.caption = state if running else ""
        table.add_column("best trials", no_wrap=True)
        table.add_column("drop", no_wrap=True)
        table.add_column("validation error (%)", justify="right", no_wrap=True)
        for trial in best_trials(trials)[:BEST_SHOWN]:
            table.add_row(trial.id, describe(self.search, trial), _error(trial))
        return table

    def _of(self) -> str:
        return "" if (total := self.search.total()) is None else f"/{total}"


def describe(search: Search, trial: TrialRow) -> str:
    """Returns a short description of a trial: its drop and the other searched values."""
    rates = search.space.rates(trial.values)
    words = [rates["drop"]]
    if rates["top_rate"] is not None:
        words.append(f"top {rates['top_rate']:g}")
    if rates["retaining_rate"] is not None:
        words.append(f"retaining {rates['retaining_rate']:g}")
    words += [f"{name.replace('_', ' ')} {trial.values[f'recipe/{name}']}" for name in search.tune]
    if "tuner/epochs" in trial.values:
        words.append(counted(trial.values["tuner/epochs"], "epoch"))
    return ", ".join(words)


def _error(trial: TrialRow) -> str:
    spread = "" if trial.deviation is None else f" ± {trial.deviation:.2f}"
    return f"{trial.score:.2f}{spread}"
