"""`keras-selectscale tune`."""

import os
import pathlib
import re
import sys
from typing import TYPE_CHECKING, Any

import click

from keras_selectscale import child_processes, gpus
from keras_selectscale.cli import options
from keras_selectscale.cli.backend import MAIN, start_keras
from keras_selectscale.cli.group import CONTINUE, FullGroup, input_errors
from keras_selectscale.cli.path_type import PathType
from keras_selectscale.cli.search_report import print_report
from keras_selectscale.cli.training_options import training_option
from keras_selectscale.cli.value_list import ValueList
from keras_selectscale.wording import counted

if TYPE_CHECKING:
    from keras_selectscale.tuning import Search, SearchFolder

# Fields of the recipe that are searched if several values are given.
SEARCHED = ("learning_rate", "weight_decay", "batch_size", "schedule")


@click.group(cls=FullGroup, invoke_without_command=True)
@click.option("--network", help="resnet-8, wrn-20-4, …; see `list networks`.  [required]")
@options.dataset_options
@click.option(
    "--methods",
    type=ValueList(str),
    show_default="selectscale,selectout,none; selectscale,none with --figure4",
    help="Drop methods to draw from; see `list drops`.",
)
@click.option("--top-rates", type=ValueList(float), help="Values to try; by default 0.1, 0.2, … 1.")
@click.option(
    "--retaining-rates", type=ValueList(float), help="Values; by default those of the method."
)
@click.option(
    "--tuner",
    default="random",
    show_default=True,
    help="Search: random, bayesian, hyperband, grid.",
)
@click.option("--trials", type=int, help="How many; by default 30, or a whole grid.")
@click.option("--figure4", is_flag=True, help="Restrict a grid to the two curves of Figure 4.")
@click.option("--epochs", type=int, default=20, show_default=True, help="Epochs of each run.")
@click.option("--seeds", type=int, default=1, show_default=True, help="Runs of each trial.")
@click.option(
    "--prune-margin",
    type=float,
    help="Skip the other seeds of a trial whose first error exceeds the best one by this.",
)
@click.option("--early-stopping", type=int, help="End a run N epochs after its best one.")
@click.option(
    "--validation-share",
    type=float,
    default=0.2,
    show_default=True,
    help="Share held out of training.",
)
@click.option("--batch-size", type=ValueList(int), help="By default that of the dataset.")
@training_option("learning-rate", several=True)
@training_option("schedule", several=True)
@training_option("weight-decay", several=True)
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of the draws.")
@options.precision_option()
@options.jit_option
@options.normalization_option
@click.option(
    "--workers",
    type=int,
    default=0,
    show_default=True,
    help="Processes on this machine that share the trials; 0 for this process alone.",
)
@click.option(
    "--wait",
    type=float,
    default=600.0,
    show_default=True,
    help="Maximum time in seconds that a chief and its workers wait for each other.",
)
@click.option(
    "--resume/--no-resume",
    default=True,
    show_default=True,
    help="Continue the search in the folder, or start over.",
)
@click.option(
    "--dir",
    "path",
    type=PathType(file_okay=False, path_type=pathlib.Path),
    help="Folder of the search; by default under runs/, named after the options above.",
)
@options.stop_option
@click.pass_context
def command(context: click.Context, **values: Any) -> None:
    """Search for the best drop of a network: its method, top rate and retaining rate.

    Trials are scored on images held out of the training images, never on test images. The best one
    is trained again on all training images and tested once. If started again, the search continues;
    with more --trials, it adds trials. Several values of --learning-rate, --weight-decay,
    --batch-size or --schedule, separated by commas, are searched as well.
    """
    if context.invoked_subcommand is None:
        _tune(**values)


@command.command("report")
@click.argument("path", metavar="DIR", type=PathType(file_okay=False, path_type=pathlib.Path))
def report(path: pathlib.Path) -> None:
    """Report a search that is finished or running: trials.csv and heatmap.png in DIR."""
    start_keras()
    from keras_selectscale.tuning import SearchFolder

    with input_errors():
        print_report(SearchFolder(path))


@command.command("work", hidden=True)
@click.argument("path", type=PathType(file_okay=False, path_type=pathlib.Path))
@click.option("--wait", type=float, required=True)
@click.option("--data-dir")
def work(path: pathlib.Path, wait: float, data_dir: str | None) -> None:
    """Run as the chief or a worker of another process, and end with it."""
    child_processes.end_with_parent()
    start_keras()
    from keras_selectscale.tuning import SearchFolder, load_for_search, run_search

    folder = SearchFolder(path)
    search = folder.read_search()
    run_search(search, folder, load_for_search(search, data_dir), wait_seconds=wait)


def _tune(
    network: str | None,
    path: pathlib.Path | None,
    epochs: int,
    dataset: str,
    data_dir: str | None,
    train_size: int | None,
    image_size: int | None,
    workers: int,
    wait: float,
    resume: bool,
    precision: str,
    jit: str,
    **values: Any,
) -> None:
    if network is None:
        raise click.UsageError("Missing option '--network'.", click.get_current_context())
    if workers:
        gpus.leave_memory()
    start_keras()
    from keras_selectscale import data, environment, models
    from keras_selectscale.training import DamagedRunError, Recipe
    from keras_selectscale.training.speed import decide_jit
    from keras_selectscale.tuning import (
        Search,
        SearchDisplay,
        SearchFolder,
        load_for_search,
        run_search,
    )
    from keras_selectscale.tuning.kerastuner import is_chief, is_worker
    from keras_selectscale.tuning.workers import check_environment

    with input_errors():
        check_environment()
        if values["batch_size"] is None:
            values["batch_size"] = (data.datasets.comparison_defaults(dataset)["batch_size"],)
        searched = {field: values.pop(field) for field in SEARCHED}
        for field, given in searched.items():
            if not given:
                raise ValueError(f"Argument `{field}` must have a value. Received: none")
        if not 0 <= workers <= 1000:
            raise ValueError(f"Argument `workers` must be 0 to 1000. Received: workers={workers}")
        if not 1 <= wait <= 1e6:
            raise ValueError(f"Argument `wait` must be from 1 to 1e6. Received: wait={wait}")
        recipe = Recipe(
            network=network,
            dataset=dataset,
            epochs=epochs,
            train_size=train_size,
            image_size=image_size,
            **{field: given[0] for field, given in searched.items()},
        )
        if path is None:
            plain = re.sub(r"[^\w.-]+", "-", dataset).strip("-")
            path = pathlib.Path("runs") / f"tune-{plain}-{network}-{values['tuner']}"
        folder = SearchFolder(path)
        began = folder.read_search() if resume and folder.config_path.exists() else None
        before = began.recipe.as_json() if began else None
        if values["methods"] is None and began:
            values["methods"] = began.methods
        recipe = options.decide_recipe(recipe, before, precision, values.pop("fused_normalization"))
        # A search from a version that did not record it continues without.
        values["jit"] = options.as_jit(jit)
        if jit == "auto":
            values["jit"] = began.jit if began else decide_jit(None)
        tune = {field: given for field, given in searched.items() if len(given) > 1}
        search = Search(recipe, tune=tune, **options.given(**values))
        models.build(network)  # Reports a wrong name before reading the data.
        images = load_for_search(search, data_dir)
        if not resume and not is_worker():
            folder.remove()
            click.get_current_context().meta[CONTINUE] = "run it without --no-resume to continue"
        folder.open(search, environment.describe(), for_worker=is_worker())
    if is_worker():
        with input_errors(DamagedRunError):
            run_search(search, folder, images, wait_seconds=wait)
        return
    with input_errors(DamagedRunError, ValueError), folder.lock():
        _warn(search)
        with SearchDisplay(folder, search) as display:
            if workers and not is_chief():
                _run_workers(folder, workers, wait, data_dir, display)
            else:
                run_search(search, folder, images, listener=display, wait_seconds=wait)
        del images
        _train_winner(search, folder, data_dir)
        print_report(folder, data_dir)


def _run_workers(
    folder: "SearchFolder", workers: int, wait: float, data_dir: str | None, display: Any
) -> None:
    from keras_selectscale.tuning import run_workers

    def trials_ended() -> int:
        display.refresh()
        return sum(trial.status != "RUNNING" for trial in folder.read_trials())

    command = [sys.executable, "-c", MAIN, "tune", "work", os.path.abspath(folder.path)]
    command += ["--wait", str(wait), *(() if data_dir is None else ("--data-dir", data_dir))]
    run_workers(
        command,
        workers,
        folder.path / "workers",
        trials_ended=trials_ended,
        died=folder.note_death,
        say=display.say,
    )


def _train_winner(search: "Search", folder: "SearchFolder", data_dir: str | None) -> None:
    from keras_selectscale.training.epoch_progress import make_progress
    from keras_selectscale.tuning import load_for_winner, train_winner

    trials = folder.read_trials()
    if all(trial.score is None for trial in trials):
        reasons = [trial.message for trial in trials if trial.message]
        raise FloatingPointError(
            f"none of {counted(len(trials), 'trial')} was completed; the first failed with "
            f"{reasons[0] if reasons else 'no reason'}"
        )
    images = load_for_winner(search, data_dir)
    with make_progress() as progress:
        train_winner(folder, images, progress=progress, label="winner", epoch_lines=False)


def _warn(search: "Search") -> None:
    from keras_selectscale.console import Console

    size = search.grid_size()
    if search.tuner == "grid" and search.trials is not None and search.trials < size:
        Console(stderr=True).say(
            f"The grid has {counted(size, 'point')}: --trials {search.trials} takes the first."
        )
