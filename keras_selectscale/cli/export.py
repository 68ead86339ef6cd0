"""`keras-selectscale export`."""

import contextlib
import os
import pathlib
from collections.abc import Iterator

import click

from keras_selectscale.cli import options
from keras_selectscale.cli.backend import start_keras
from keras_selectscale.cli.group import input_errors

# As in `exporting.formats`, which is slow to import; a test holds them equal.
FORMATS = {
    "tf_saved_model": "saved_model",
    "onnx": "model.onnx",
    "litert": "model.tflite",
    "keras": "model.keras",
}


@click.command()
@click.argument("run")
@click.option(
    "--format",
    "format_name",
    type=click.Choice(list(FORMATS)),
    default="tf_saved_model",
    show_default=True,
)
@click.option(
    "--out",
    type=click.Path(path_type=pathlib.Path),
    help="File or folder to write; by default in the folder of RUN.",
)
@click.option("--overwrite", is_flag=True, help="Replace an export that is there.")
@options.runs_dir_option
def command(
    run: str,
    format_name: str,
    out: pathlib.Path | None,
    overwrite: bool,
    runs_dir: pathlib.Path,
) -> None:
    """Export the checkpoint of RUN, a run's name or folder, without a trace of its drops.

    The file is loaded back by its own consumer and held against the model, node by node, weight by
    weight and on random inputs, before it takes its place.
    """
    start_keras()
    from keras_selectscale.exporting import ExportError, export
    from keras_selectscale.training import RunFolder, load_checkpoint

    with input_errors():
        path = pathlib.Path(run)
        folder = RunFolder(path if path.is_dir() else options.run_path(runs_dir, run))
        folder.read_recipe()
        model = load_checkpoint(folder)
    out = out or folder.path / FORMATS[format_name]
    # A disk that is full, or a folder that is not one's own, is no bad input.
    with input_errors(ValueError, TypeError, ImportError, FileExistsError, FileNotFoundError):
        try:
            with _held_back():
                report = export(model, out, format_name, overwrite=overwrite)
        except FileExistsError as error:
            message = str(error).replace("pass overwrite=True", "pass --overwrite")
            raise FileExistsError(message) from None
        except ExportError as error:
            click.echo(f"keras-selectscale export: {' '.join(str(error).split())}", err=True)
            raise click.exceptions.Exit(1) from None
    click.echo(str(report))


@contextlib.contextmanager
def _held_back() -> Iterator[None]:
    """Keeps the pages that the converters write to standard error off the terminal."""
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
