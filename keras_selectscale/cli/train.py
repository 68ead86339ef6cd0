"""`keras-selectscale train`."""

import pathlib
from typing import Any

import click

from keras_selectscale.cli import options
from keras_selectscale.cli.backend import start_keras
from keras_selectscale.cli.group import input_errors
from keras_selectscale.cli.path_type import PathType
from keras_selectscale.cli.training_options import training_option
from keras_selectscale.cli.value_list import ValueList
from keras_selectscale.wording import counted


@click.command()
@click.option("--network", required=True, help="resnet-20, wrn-20-4, …; see `list networks`.")
@options.dataset_options
@click.option("--drop", default="none", show_default=True, help="Drop method; see `list drops`.")
@click.option("--top-rate", type=float, help="Share of the maps that a drop may affect.")
@click.option("--retaining-rate", type=float, help="How much is kept; 1 changes nothing.")
@click.option(
    "--score",
    help="Score of a selecting drop: max, average_pool, global_average, or the controls random "
    "and lowest.",
)
@click.option(
    "--last-drop",
    default="before_addition",
    show_default=True,
    help="Where the drop of a residual block's second convolution stands: before_addition or "
    "after_addition.",
)
@click.option("--curriculum", help="How the retaining rate falls from 1: linear, exponential.")
@click.option("--epochs", type=int, default=200, show_default=True, help="Passes over the images.")
@click.option("--batch-size", type=int, default=128, show_default=True, help="Images per step.")
@training_option("learning-rate")
@training_option("schedule")
@training_option("weight-decay")
@click.option(
    "--seed",
    type=int,
    default=0,
    show_default=True,
    help="Seed of all random numbers.",
)
@options.precision_option()
@options.jit_option
@options.normalization_option
@options.device_options
@options.process_options
@options.checkpoint_option
@options.stop_option
@click.option(
    "--diagnostics",
    is_flag=True,
    help="Record what each drop selects, in drops.csv and for TensorBoard. Epochs are left out if "
    "it would take more than 2% of the time.",
)
@click.option(
    "--maps-at",
    type=ValueList(int),
    help="Epochs after which to keep the class activation maps of six test images, such as "
    "1,50,200; `cam RUN --epochs` draws them.",
)
@click.option(
    "--profile",
    type=PathType(file_okay=False, path_type=pathlib.Path),
    help="Folder for a trace of ten steps, for TensorBoard.",
)
@click.option("--run", "run_name", required=True, help="Name of the run's folder.")
@options.runs_dir_option
def command(
    run_name: str,
    runs_dir: pathlib.Path,
    data_dir: str | None,
    checkpoint_seconds: float | None,
    precision: str,
    fused_normalization: bool | None,
    profile: pathlib.Path | None,
    diagnostics: bool,
    maps_at: tuple[int, ...] | None,
    **values: Any,
) -> None:
    """Train one network, in its own folder.

    The same command continues an interrupted run and reports a finished one.
    """
    from keras_selectscale.console import Console

    start_keras()
    from keras_selectscale import data, environment, models
    from keras_selectscale.training import DamagedRunError, Recipe, RunFolder, train
    from keras_selectscale.training.epoch_progress import make_progress
    from keras_selectscale.training.profiling import StepTrace
    from keras_selectscale.training.run_diagnostics import run_diagnostics, run_maps
    from keras_selectscale.training.speed import said

    with input_errors():
        devices = options.start_devices(values)
        path = options.run_path(runs_dir, run_name)
        run = RunFolder(path)
        there = devices.is_main and run.config_path.exists()
        jit = devices.decide_jit(run.read_jit() if there else None)
        began = run.read_recipe() if there else None
        recipe = Recipe(**options.given(**values))
        recipe = options.decide_recipe(recipe, began, precision, fused_normalization)
        models.build(recipe.network)  # Reports a wrong name before reading the data.
        images = data.load(
            recipe.dataset,
            data_dir=data_dir,
            train_size=recipe.train_size,
            seed=recipe.seed,
            image_size=recipe.image_size,
        )
        devices.check_batches(recipe.batch_size, images.train_count)
        callbacks: list[Any] = [] if profile is None else [StepTrace(profile)]
        if diagnostics:
            callbacks.append(run_diagnostics(recipe, run, images, devices))
        if maps_at is not None:
            callbacks.append(run_maps(maps_at, run, images, devices))
        done = False
        if devices.is_main:
            run.open(recipe.as_json(), environment.describe() | devices.describe())
            done = run.read_result() is not None
    setting = f"{recipe.precision}, jit {said(jit)}"
    with input_errors(DamagedRunError), make_progress() as progress:
        if devices.is_main and not done:
            progress.console.print(f"{path}: {setting}", soft_wrap=True)
        result = train(
            recipe,
            run,
            images,
            devices=devices,
            progress=progress,
            checkpoint_seconds=checkpoint_seconds,
            callbacks=callbacks,
        )
    if not devices.is_main:
        Console().say(f"{path}: process {devices.process} of {devices.processes} is done")
        return
    seconds = result.get("startup_seconds")
    startup = "" if seconds is None else f" after {seconds:.0f} s before the first step"
    Console().say(
        f"{path}: {'already done' if done else 'done'}, {counted(result['epochs'], 'epoch')}, "
        f"test error {result['test_error']:.2f}%, training error {result['train_error']:.2f}%, "
        f"{counted(result['parameters'], 'parameter')}, {result['images_per_second']:.0f} images/s"
        f"{startup} ({setting})"
    )
    if not done:
        Console().say(
            f"{run.checkpoint_path}: import keras_selectscale before you load it, or use "
            "keras-selectscale export"
        )
