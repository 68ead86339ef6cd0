"""`keras-selectscale reproduce`."""

import pathlib
import sys
from typing import TYPE_CHECKING, Any

import click

from keras_selectscale import child_processes, gpus
from keras_selectscale.cli import options
from keras_selectscale.cli.backend import MAIN, start_keras
from keras_selectscale.cli.group import input_errors
from keras_selectscale.cli.value_list import ValueList

if TYPE_CHECKING:
    from keras_selectscale.experiments.cells import Cell


@click.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.option("--runs", type=int, help="Runs of each cell; by default as many as in the paper.")
@click.option("--seeds", type=ValueList(int), help="Seeds of the runs instead, such as 1,2,4.")
@click.option("--epochs", type=int, help="Epochs instead of the recipe's.")
@click.option("--train-size", type=int, help="Train on a stratified subset of N images.")
@click.option(
    "--workers",
    type=int,
    default=0,
    show_default=True,
    help="Processes on this machine that share the runs; 0 for this process alone.",
)
@click.option("--with-parent", is_flag=True, hidden=True, help="End with the starting process.")
@options.precision_option(default=None)
@options.jit_option
@options.normalization_option
@options.device_options
@options.checkpoint_option
@options.stop_option
@options.data_dir_option
@options.runs_dir_option
def command(
    names: tuple[str, ...],
    runs: int | None,
    seeds: tuple[int, ...] | None,
    epochs: int | None,
    train_size: int | None,
    precision: str | None,
    fused_normalization: bool | None,
    checkpoint_seconds: float | None,
    data_dir: str | None,
    runs_dir: pathlib.Path,
    workers: int,
    with_parent: bool,
    **device_values: Any,
) -> None:
    """Train cells or whole tables of the paper, and print the results next to the paper's.

    NAME is a cell such as table1/wrn-20-4/selectscale (see `list recipes`), a network of a table
    such as table1/wrn-20-4, or a table; controls and lowdata are named in the same way. If started
    again, it continues with the missing runs.
    """
    from keras_selectscale.console import Console

    if with_parent:
        child_processes.end_with_parent()
    if workers:
        gpus.leave_memory()
    start_keras()
    from keras_selectscale import recipes
    from keras_selectscale.experiments import Reproduction, run_reproduction
    from keras_selectscale.experiments.shared_runs import share_runs
    from keras_selectscale.files import write_json
    from keras_selectscale.training import DamagedRunError
    from keras_selectscale.training.epoch_progress import make_progress

    with input_errors():
        if not 0 <= workers <= 1000:
            raise ValueError(f"Argument `workers` must be 0 to 1000. Received: workers={workers}")
        if workers and device_values["distribute"] != "none":
            raise ValueError(
                "Argument `workers` goes with one device per run. "
                f"Received: distribute={device_values['distribute']!r}"
            )
        devices = options.start_devices(device_values)
        selected = {name.strip("/"): recipes.select(name.strip("/")) for name in names}
        # Names may overlap.
        cells_by_name = {cell.name: cell for found in selected.values() for cell in found}
        published = tuple(cells_by_name.values())
        normalization = options.decide_normalization(fused_normalization, None)
        reproduction = Reproduction(
            published, runs, epochs, train_size, precision, seeds, normalization
        )
        wanted = {(r.dataset, r.seed) for cell in published for r in reproduction.recipes(cell)}
        images = options.load_images(wanted, data_dir, train_size)
        folder = runs_dir / "reproduce"
        cells = reproduction.open(folder, devices)
    if workers:
        context = click.get_current_context()
        with input_errors(DamagedRunError):
            share_runs(
                cells,
                workers,
                lambda cell: _command_of(context, cell),
                folder / "workers",
                Console(stderr=True).say,
            )
    with input_errors(DamagedRunError), make_progress() as progress:
        summary = run_reproduction(
            reproduction, cells, images, progress, devices, checkpoint_seconds=checkpoint_seconds
        )
    if with_parent:  # It reports all runs.
        return
    _print_rows(summary["rows"])
    for name, found in selected.items():
        path = folder / f"{name.replace('/', '-')}.json"
        own = {cell.name for cell in found}
        write_json(path, {**summary, "rows": [r for r in summary["rows"] if r["name"] in own]})
        Console().say(f"Written: {path}")


def _command_of(context: click.Context, cell: "Cell") -> list[str]:
    """Returns the command that trains one run with the options of this one."""
    words = ["reproduce", cell.title, "--seeds", str(cell.recipe.seed), "--with-parent"]
    for option in context.command.params:
        value = context.params.get(option.name or "")
        own = option.name in ("runs", "seeds", "workers", "with_parent", "stop_after")
        if own or value is None or not isinstance(option, click.Option):
            continue
        if isinstance(value, bool):
            words += [option.opts[0]] if value else option.secondary_opts[:1]
        else:
            words += [option.opts[0], str(value)]
    return [sys.executable, "-c", MAIN, *words]


def _print_rows(rows: list[dict[str, Any]]) -> None:
    from rich.table import Table

    from keras_selectscale.console import Console

    table = Table(box=None, pad_edge=False)
    table.add_column("cell", no_wrap=True)
    table.add_column("ours", no_wrap=True)
    table.add_column("the paper's", no_wrap=True)
    table.add_column("less than the recipe")
    for row in rows:
        table.add_row(
            row["name"],
            _error(row["mean"], row["deviation"], row["runs"]),
            "none"
            if row["paper_error"] is None
            else _error(row["paper_error"], row["paper_deviation"], row["paper_runs"]),
            row["difference"] or "no",
        )
        if "paper_top5_error" in row:
            ours = _error(row["top5_mean"], row["top5_deviation"], row["runs"])
            table.add_row("  top-5", ours, f"{row['paper_top5_error']:.2f}", "")
    console = Console()
    console.print("Test error (%), mean ± standard deviation (runs):")
    console.print(table)
    for row in rows:
        if row["note"]:
            console.print(f"{row['name']}: {row['note']}")


def _error(mean: float, deviation: float | None, runs: int) -> str:
    spread = "" if deviation is None else f" ± {deviation:.2f}"
    return f"{mean:.2f}{spread} ({runs})"
