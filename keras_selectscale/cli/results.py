"""`keras-selectscale results`."""

import pathlib
import sys

import click

from keras_selectscale.cli import options
from keras_selectscale.cli.backend import start_keras
from keras_selectscale.cli.group import input_errors
from keras_selectscale.cli.path_type import OutputFile, PathType


@click.command()
@click.argument("folders", nargs=-1, type=PathType(path_type=pathlib.Path))
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "markdown", "csv", "json"]),
    default="text",
    show_default=True,
    help="Form of the tables.",
)
@click.option(
    "--out",
    multiple=True,
    type=OutputFile(),
    help="File to write; may be repeated. Standard output if omitted.",
)
@click.option(
    "--figure",
    "figures",
    multiple=True,
    type=PathType(dir_okay=False, path_type=pathlib.Path),
    help="Table of `figure 3` (.csv) or of `cam --measure` (.json) to show too; may be repeated.",
)
@options.runs_dir_option
def command(
    folders: tuple[pathlib.Path, ...],
    form: str,
    out: tuple[pathlib.Path, ...],
    figures: tuple[pathlib.Path, ...],
    runs_dir: pathlib.Path,
) -> None:
    """Print the results of the runs in FOLDERS, next to the paper's.

    Runs are found however deep they are, and grouped by recipe. Damaged, unfinished and repeated
    runs are named; the others are shown. Without FOLDERS, the runs in --runs-dir are read.
    """
    from keras_selectscale.console import Console

    start_keras()
    from keras_selectscale import files
    from keras_selectscale.experiments import results
    from keras_selectscale.experiments.figure_tables import read_section
    from keras_selectscale.experiments.results_report import report

    with input_errors():
        found = results.find_runs(folders or [runs_dir])
        if figures and form == "csv":
            raise ValueError("The format csv has one table, and no --figure")
        sections = [read_section(path) for path in figures]
        text = report(results.group_runs(found.runs), found, form, sections)
        for path in out:
            files.write_text(path, text)
    if not out:
        sys.stdout.write(text)
    for line in found.left_out("counted"):
        Console(stderr=True).say(line)
