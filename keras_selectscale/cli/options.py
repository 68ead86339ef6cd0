"""Options that several commands share, and functions that use their values."""

import dataclasses
import functools
import os
import pathlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar

import click

from keras_selectscale import stopping
from keras_selectscale.checks import shown
from keras_selectscale.cli.group import CONTINUE
from keras_selectscale.cli.path_type import PathType
from keras_selectscale.object_checks import as_file_name

AUTO = " auto keeps what a run began with; a new run takes the fastest on the device."
STEPS_HELP = "Steps per dispatch on JAX; by default 1 on a CPU, up to 50 elsewhere."
CACHE_HELP = "Keep what JAX compiles in the user's cache folder; on by default."


def dataset_options(command: Callable) -> Callable:
    """Adds `--dataset`, `--data-dir`, `--train-size` and `--image-size`."""
    for option in (
        click.option("--image-size", type=int, help="Height and width of the resized images."),
        click.option("--train-size", type=int, help="Train on a stratified subset of N images."),
        data_dir_option,
        click.option(
            "--dataset",
            default="digits",
            show_default=True,
            help="Dataset: digits, cifar10, tfds:NAME, folder:PATH, …; see `list datasets`.",
        ),
    ):
        command = option(command)
    return command


def data_dir_option(command: Callable) -> Callable:
    """Adds `--data-dir`."""
    return click.option(
        "--data-dir",
        type=PathType(file_okay=False),
        help="Folder of the prepared TensorFlow Datasets; by default TFDS_DATA_DIR or TFDS's own.",
    )(command)


def device_options(command: Callable) -> Callable:
    """Adds the options of `training.Devices` for the devices of one host."""
    for option in (
        click.option("--steps-per-dispatch", type=int, help=STEPS_HELP),
        click.option("--compilation-cache/--no-compilation-cache", default=True, help=CACHE_HELP),
        click.option("--cpu-devices", type=int, help="Split the CPU into N devices, for tests."),
        click.option(
            "--distribute",
            default="none",
            show_default=True,
            help="Share each batch among devices: mirrored (TensorFlow, those of this host) or "
            "data (JAX, those of all processes).",
        ),
    ):
        command = option(command)
    return command


def process_options(command: Callable) -> Callable:
    """Adds the options of `training.Devices` for several processes."""
    for option in (
        click.option("--process", type=int, help="Number of this process, from 0."),
        click.option("--processes", type=int, help="Number of processes training together on JAX."),
        click.option("--coordinator", help="HOST:PORT of process 0, for several processes."),
    ):
        command = option(command)
    return command


def start_devices(values: dict[str, Any]) -> Any:
    """Removes the options of devices and processes from `values` and starts these devices.

    Raises:
        TypeError: If a number is not an integer.
        ValueError: If an option is invalid or contradicts another one.
    """
    from keras_selectscale.training import Devices

    if "jit" in values:
        values["jit"] = as_jit(values["jit"])
    names = {field.name for field in dataclasses.fields(Devices)}
    devices = Devices(**{name: values.pop(name) for name in names & set(values)})
    devices.start()
    return devices


def precision_option(default: str | None = "auto") -> Callable:
    """Returns a decorator that adds `--precision`.

    Args:
        default: `"auto"`, `"float32"`, or `None` for the precision of a published recipe.
    """
    choices = ["float32", "mixed_bfloat16"]
    return click.option(
        "--precision",
        type=click.Choice(choices if default is None else ["auto", *choices]),
        default=default,
        show_default="that of the recipe" if default is None else True,
        help=f"Dtype of the activations, with float32 weights.{AUTO if default else ''}",
    )


def decide_precision(precision: str, recipe: dict[str, Any] | None) -> str:
    """Returns the precision of a run, the same in all of its processes.

    Args:
        precision: Value of the option.
        recipe: Recipe of the run as JSON if the run has started; only on the main process.
    """
    from keras_selectscale.training import process_group
    from keras_selectscale.training.speed import PRECISIONS, fastest_precision

    if precision != "auto":
        return precision
    began = None if recipe is None else recipe.get("precision")
    chosen = began if began in PRECISIONS else fastest_precision()
    shared = process_group.share_bytes(chosen.encode())
    return chosen if shared is None else shared.decode()


def jit_option(command: Callable) -> Callable:
    """Adds `--jit`."""
    return click.option(
        "--jit",
        type=click.Choice(["auto", "on", "off"]),
        default="auto",
        show_default=True,
        help="Compile the training step, on TensorFlow by XLA." + AUTO,
    )(command)


def as_jit(value: str) -> bool | None:
    """Returns the value of the argument `jit` for a value of `--jit`."""
    return {"on": True, "off": False}.get(value)


def normalization_option(command: Callable) -> Callable:
    """Adds `--fused-normalization`."""
    return click.option(
        "--fused-normalization/--no-fused-normalization",
        default=None,
        help="Normalize with the backend's kernel, up to twice as fast on a CPU, or as Keras does; "
        "by default what a run began with, or the kernel.",
    )(command)


def decide_normalization(fused: bool | None, recipe: dict[str, Any] | None) -> str:
    """Returns the normalization of a run from the option and, if it has begun, its recipe as JSON.

    Raises:
        ValueError: If the option is given and differs from what the run began with.
    """
    began = None if recipe is None else recipe["normalization"]
    if fused is None:
        return began or "fused"
    if began not in (None, chosen := "fused" if fused else "keras"):
        raise ValueError(
            f"Argument `fused_normalization` must be {began == 'fused'}, with which the run began. "
            f"Received: fused_normalization={fused}"
        )
    return chosen


def decide_recipe(
    recipe: Any, began: dict[str, Any] | None, precision: str, fused: bool | None
) -> Any:
    """Returns a recipe with its precision and normalization; see the functions for each."""
    return dataclasses.replace(
        recipe,
        precision=decide_precision(precision, began),
        normalization=decide_normalization(fused, began),
    )


def checkpoint_option(command: Callable) -> Callable:
    """Adds `--checkpoint-seconds`."""
    return click.option(
        "--checkpoint-seconds",
        type=click.FloatRange(min=0),
        help="Seconds between checkpoints, which a kill can lose; 0 saves after every step. By "
        "default 5, or longer if they would take over 5% of the time or 10 GB per hour.",
    )(command)


class Duration(click.ParamType):
    """A positive time with its unit, such as 90s, 9m or 1.5h; its value is in seconds."""

    name = "time"
    units: ClassVar = {"s": 1, "m": 60, "h": 3600}
    # Some 30 years.
    longest = 1e9

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        """Returns the seconds of a text."""
        if isinstance(value, float):
            return value
        found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([smh])", value)
        seconds = float(found[1]) * self.units[found[2]] if found else 0.0
        if not 0 < seconds <= self.longest:
            self.fail(f"{shown(value)} is not a time such as 90s, 9m or 1.5h.", param, ctx)
        return seconds


def stop_option(command: Callable) -> Callable:
    """Adds `--stop-after`, and limits the time of a command that can be continued."""

    @functools.wraps(command)
    def limited(*args: Any, stop_after: float | None, **values: Any) -> Any:
        click.get_current_context().meta[CONTINUE] = "run the same command again to continue"
        with stopping.time_limit(stop_after, of_command=True):
            return command(*args, **values)

    return click.option(
        "--stop-after",
        type=Duration(),
        help="Stop after this time, such as 90s, 9m or 1.5h, with a checkpoint and exit status 75, "
        "as on SIGTERM; the same command continues.",
    )(limited)


def runs_dir_option(command: Callable) -> Callable:
    """Adds `--runs-dir`."""
    return click.option(
        "--runs-dir",
        type=PathType(file_okay=False, path_type=pathlib.Path),
        default="runs",
        show_default=True,
        help="Folder that holds the run folders.",
    )(command)


def run_path(runs_dir: pathlib.Path, name: str) -> pathlib.Path:
    """Returns the folder of a run, whose name must be plain."""
    return runs_dir / as_file_name("run", name)


def existing_run(runs_dir: pathlib.Path, run: str) -> pathlib.Path:
    """Returns the folder of RUN, which is a folder or a run's name."""
    if run and os.path.isdir(run):
        return pathlib.Path(run)
    if not (path := run_path(runs_dir, run)).exists():
        raise FileNotFoundError(f"RUN must be a run's name in --runs-dir or its folder: no {path}")
    return path


def load_images(
    wanted: Iterable[tuple[str, int]],
    data_dir: str | None,
    train_size: int | None,
    image_size: int | None = None,
) -> Mapping[tuple[str, int], Any]:
    """Returns the images by dataset and seed. Each dataset is read once; a seed picks a subset."""
    from keras_selectscale import data

    pairs = sorted(set(wanted))
    whole = {
        name: data.load(name, data_dir=data_dir, image_size=image_size)
        for name in {name for name, _ in pairs}
    }
    if train_size is None:
        return {pair: whole[pair[0]] for pair in pairs}
    # Reports wrong sizes now, although a subset is made only when its run starts.
    for name, seed in {name: (name, seed) for name, seed in pairs}.values():
        data.training_subset(whole[name], train_size=train_size, seed=seed)
    return Subsets(whole, pairs, train_size)


class Subsets(Mapping[tuple[str, int], Any]):
    """Training subsets by dataset and seed, each made at its first use."""

    def __init__(self, whole: dict[str, Any], pairs: list[tuple[str, int]], train_size: int):
        self.whole, self.pairs, self.train_size = whole, pairs, train_size

    def __getitem__(self, pair: tuple[str, int]) -> Any:
        from keras_selectscale import data

        if pair not in self.pairs:
            raise KeyError(pair)
        name, seed = pair
        return data.training_subset(self.whole[name], train_size=self.train_size, seed=seed)

    def __iter__(self) -> Iterator[tuple[str, int]]:
        return iter(self.pairs)

    def __len__(self) -> int:
        return len(self.pairs)


def given(**options: Any) -> dict[str, Any]:
    """Returns the options that were given, so that the rest keep their defaults."""
    return {name: value for name, value in options.items() if value is not None}
