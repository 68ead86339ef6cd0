"""`keras-selectscale export`."""

import contextlib
import os
import pathlib
from collections.abc import Iterator

import click

from keras_selectscale.cli import options
from keras_selectscale.cli.backend import start_keras
from keras_selectscale.cli.group import input_errors
from keras_selectscale.cli.path_type import PathType


@click.command()
@click.argument("run")
@click.option(
    "--format",
    "format_name",
    default="tf_saved_model",
    show_default=True,
    help="Format of the file; see `list formats`.",
)
@click.option(
    "--out",
    type=PathType(path_type=pathlib.Path),
    help="File or folder to write; by default in the folder of RUN.",
)
@click.option("--overwrite", is_flag=True, help="Replace an existing export.")
@click.option(
    "--safe-mode/--no-safe-mode",
    default=True,
    show_default=True,
    help="Refuse Python code in .keras files, such as the lambda of a Lambda layer. Loading the "
    "checkpoint runs that code: use --no-safe-mode only if you trust it.",
)
@options.runs_dir_option
def command(
    run: str,
    format_name: str,
    out: pathlib.Path | None,
    overwrite: bool,
    safe_mode: bool,
    runs_dir: pathlib.Path,
) -> None:
    """Export the checkpoint of RUN, a run's name or folder, without a trace of its drops.

    Before the file is moved to its place, its own consumer loads it and it is compared with the
    model: node by node, weight by weight and on random inputs.
    """
    start_keras()
    from keras_selectscale.exporting import ExportError, export
    from keras_selectscale.exporting.formats import get_format
    from keras_selectscale.training import RunFolder, load_checkpoint

    # A full disk or a missing permission is not bad input.
    of_input = (ValueError, TypeError, ImportError, FileExistsError, FileNotFoundError)
    with input_errors(*of_input):
        default_name = get_format(format_name).default_name
    with input_errors():
        folder = RunFolder(options.existing_run(runs_dir, run))
        folder.read_recipe()
        model = load_checkpoint(folder, safe_mode=safe_mode)
    out = out or folder.path / default_name
    with input_errors(*of_input):
        try:
            with _held_back():
                report = export(model, out, format_name, overwrite=overwrite, safe_mode=safe_mode)
        except FileExistsError as error:
            message = str(error).replace("pass overwrite=True", "pass --overwrite")
            raise FileExistsError(message) from None
        except ExportError as error:
            click.echo(f"keras-selectscale export: {' '.join(str(error).split())}", err=True)
            raise click.exceptions.Exit(1) from None
    click.echo(str(report))


@contextlib.contextmanager
def _held_back() -> Iterator[None]:
    """Silences standard error, because the converters write pages to it."""
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
