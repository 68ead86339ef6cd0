"""`keras-selectscale compare`, the main job."""

import dataclasses
import pathlib
import re
from typing import Any

import click

from keras_selectscale.cli import options
from keras_selectscale.cli.backend import start_keras
from keras_selectscale.cli.group import input_errors
from keras_selectscale.cli.training_options import training_option
from keras_selectscale.cli.value_list import ValueList
from keras_selectscale.wording import counted


@click.command()
@options.dataset_options
@click.option("--network", help="By default that of the dataset; see `list datasets`.")
@click.option(
    "--methods",
    type=ValueList(str),
    help="Drop methods separated by commas; by default those of the paper. See `list drops`.",
)
@click.option(
    "--drop",
    "drops",
    multiple=True,
    help="A drop at its own rates, such as selectscale:top_rate=0.1,retaining_rate=0.2; may be "
    "repeated. Without --methods, it is compared with no drop.",
)
@click.option("--seeds", type=int, default=3, show_default=True, help="Runs of each method.")
@click.option("--epochs", type=int, help="By default those of the dataset.")
@click.option("--batch-size", type=int, help="By default that of the dataset.")
@training_option("learning-rate")
@options.precision_option(default="float32")
@options.jit_option
@options.normalization_option
@click.option("--run", "run_name", help="Name of the folder; by default derived from the options.")
@options.stop_option
@options.runs_dir_option
def command(
    dataset: str,
    seeds: int,
    methods: tuple[str, ...] | None,
    drops: tuple[str, ...],
    run_name: str | None,
    runs_dir: pathlib.Path,
    data_dir: str | None,
    precision: str,
    jit: str,
    fused_normalization: bool | None,
    **values: Any,
) -> None:
    """Train a network with no drop and with each drop method, over several seeds.

    Prints and draws the test errors, and exports the best run as a SavedModel that is verified to
    contain no trace of a drop. If started again, it continues with the missing runs.
    """
    start_keras()
    from keras_selectscale import models
    from keras_selectscale.data.datasets import comparison_defaults
    from keras_selectscale.experiments import Comparison, run_comparison
    from keras_selectscale.experiments.comparison_figure import check_drawable
    from keras_selectscale.experiments.contenders import as_contenders
    from keras_selectscale.layers.methods import PAPER_METHODS
    from keras_selectscale.training import DamagedRunError, Devices, Recipe
    from keras_selectscale.training.epoch_progress import make_progress

    check_drawable()
    with input_errors():
        base = Recipe(
            dataset=dataset,
            **(comparison_defaults(dataset) | options.given(**values)),
        )
        models.build(base.network)
        size = f"-{base.train_size}" if base.train_size else ""
        plain = re.sub(r"[^\w.-]+", "-", dataset).strip("-")
        if run_name is None:
            run_name = f"compare-{plain}{size}-{base.network}"
        path = options.run_path(runs_dir, run_name)
        devices = Devices(jit=options.as_jit(jit))
        if methods is None:
            methods = ("none",) if drops else PAPER_METHODS
        if drops:  # Reports a bad drop under its option.
            as_contenders("drop", drops, base)
        comparison = Comparison(base, seeds, (*methods, *drops))
        began = comparison.began(path)
        base = options.decide_recipe(base, began, precision, fused_normalization)
        comparison = dataclasses.replace(comparison, base=base)
        images = options.load_images(
            ((dataset, seed) for seed in range(seeds)), data_dir, base.train_size, base.image_size
        )
        cells = comparison.open(path, devices)
    with input_errors(DamagedRunError), make_progress() as progress:
        summary = run_comparison(comparison, path, cells, images, progress, devices)
    _print_summary(summary, path)


def _print_summary(summary: dict[str, Any], path: pathlib.Path) -> None:
    from rich.table import Table

    from keras_selectscale.console import Console

    recipe, seeds = summary["recipe"], len(summary["seeds"])
    console = Console()
    console.print(
        f"{recipe['network']} on {recipe['dataset']}: {summary['train_images']:,} training and "
        f"{counted(summary['test_images'], 'test image')}, {counted(recipe['epochs'], 'epoch')}, "
        f"{recipe['precision']}.\n"
        f"Test error (%), mean ± standard deviation of {counted(seeds, 'run')}:"
    )
    # On a terminal, titles are broken between words, so that six columns fit into 80 characters.
    table = Table(box=None, padding=(0, 1), pad_edge=False, collapse_padding=True)
    for method in summary["methods"].values():
        longest = max(len(word) for word in (*method["title"].split(), _cell(method)))
        width = longest if console.is_terminal else None
        table.add_column(method["title"], justify="right", width=width)
    table.add_row(*(_cell(method) for method in summary["methods"].values()))
    console.print(table)
    if summary.get("remark"):  # Earlier versions have none.
        console.print(summary["remark"])
    console.print(summary["limits"])
    export = summary["export"]
    if "skipped" in export:
        console.print(f"No SavedModel: {export['skipped']}.")
    elif export["passed"]:
        console.print(
            f"Best run {summary['best_run']} exported to {path / 'saved_model'} and loaded back: "
            "its outputs equal the model's to the bit, and no random operation is among its "
            f"{export['nodes']} graph nodes.",
            soft_wrap=True,
        )
    else:
        console.print(
            f"The export of {summary['best_run']} failed its check: {export}", style="red"
        )
    console.print(
        f"Written: {path / 'comparison.json'} and {path / 'comparison.png'}", soft_wrap=True
    )


def _cell(method: dict[str, Any]) -> str:
    if method["standard_deviation"] is None:
        return f"{method['mean']:.2f}"
    return f"{method['mean']:.2f} ± {method['standard_deviation']:.2f}"
