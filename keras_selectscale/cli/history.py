"""`keras-selectscale history`."""

import pathlib

import click

from keras_selectscale.cli import options
from keras_selectscale.cli.backend import start_keras
from keras_selectscale.cli.group import input_errors
from keras_selectscale.cli.path_type import OutputFile
from keras_selectscale.wording import counted


@click.command()
@click.argument("runs", metavar="RUN…", nargs=-1, required=True)
@options.runs_dir_option
@click.option(
    "--out",
    type=OutputFile(),
    default="history.png",
    show_default=True,
    help="PNG file to write.",
)
def command(runs: tuple[str, ...], runs_dir: pathlib.Path, out: pathlib.Path) -> None:
    """Draw the training curves of runs: loss, error and the rate of a curriculum.

    A RUN is a run's name or folder, finished or not.
    """
    from keras_selectscale.console import Console

    start_keras()
    from keras_selectscale.experiments import history_figure
    from keras_selectscale.training import RunFolder

    with input_errors():
        folders = [RunFolder(options.existing_run(runs_dir, name)) for name in runs]
        history_figure.draw(folders, out)
    Console().say(f"{out}: {counted(len(folders), 'run')}")
