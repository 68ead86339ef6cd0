"""The report that `keras-selectscale tune` prints."""

import shlex
from typing import TYPE_CHECKING

from keras_selectscale.wording import counted

if TYPE_CHECKING:
    from keras_selectscale.tuning import SearchFolder


def print_report(folder: "SearchFolder", data_dir: str | None = None) -> None:
    """Writes the report of a search, and prints it.

    Args:
        folder: Folder of the search.
        data_dir: Folder of the dataset, for the command that trains the winner.
    """
    from rich.table import Table

    from keras_selectscale.console import Console
    from keras_selectscale.tuning import make_report
    from keras_selectscale.tuning.report import BEST_SHOWN, describe, finalists

    found = make_report(folder)
    search = folder.read_search()
    recipe, best, winner = search.recipe, found["best"], found["winner"]
    console = Console()
    say = console.say
    counts = ", ".join(f"{count} {status.lower()}" for status, count in found["counts"].items())
    say(
        f"{recipe.network} on {recipe.dataset}, {search.tuner} search, "
        f"{counted(recipe.epochs, 'epoch')}, "
        f"{recipe.precision}, seeds per trial: {search.seeds}; trials: {counts or 'none'}."
    )
    if search.prune_margin is not None:
        pruned = found["pruned"]
        say(
            f"Pruned after the first seed: {counted(pruned['trials'], 'trial')}, which saved up to "
            f"{counted(pruned['epochs'], 'epoch')}."
        )
    if best is not None:
        table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
        for header in ("trial", "drop", "validation error (%)"):
            table.add_column(header, no_wrap=True)
        for trial in finalists(search, folder.read_trials())[:BEST_SHOWN]:
            spread = "" if trial.deviation is None else f" ± {trial.deviation:.2f}"
            table.add_row(trial.id, describe(search, trial), f"{trial.score:.2f}{spread}")
        console.print(table)
        rates = [
            f"{name.replace('_', ' ')} {best[name]:g}"
            for name in ("top_rate", "retaining_rate")
            if best[name] is not None
        ]
        say(f"Best: trial {best['id']}, {', '.join([best['drop'], *rates])}.")
    say(found["note"])
    if winner is not None:
        say(f"Winner on the test images: error {winner['test_error']:.2f}%.")
    if found["command"]:  # The report, which may be published, does not record the data folder.
        where = "" if data_dir is None else f" --data-dir {shlex.quote(data_dir)}"
        say(f"To train it: {found['command']}{where}")
    say(f"Written: {folder.csv_path}, {folder.figure_path} and {folder.report_path}")
