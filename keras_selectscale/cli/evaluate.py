"""`keras-selectscale evaluate`."""

import pathlib

import click

from keras_selectscale.cli import options
from keras_selectscale.cli.backend import start_keras
from keras_selectscale.cli.group import input_errors
from keras_selectscale.wording import counted


@click.command()
@click.argument("run")
@options.data_dir_option
@options.runs_dir_option
def command(run: str, data_dir: str | None, runs_dir: pathlib.Path) -> None:
    """Evaluate the checkpoint of RUN, a run's name or folder, on the test images."""
    from keras_selectscale.console import Console

    start_keras()
    from keras_selectscale import data
    from keras_selectscale.training import RunFolder, evaluate, load_checkpoint
    from keras_selectscale.training.checkpoints import epochs_done

    with input_errors():
        folder = RunFolder(options.existing_run(runs_dir, run))
        recipe = folder.recipe()
        model = load_checkpoint(folder)
        images = data.load(recipe.dataset, data_dir=data_dir, image_size=recipe.image_size)
        made_for = (tuple(model.input_shape[1:]), model.output_shape[-1])
        if made_for != (tuple(images.input_shape), images.classes):
            raise ValueError(
                f"{recipe.dataset} is another dataset than {folder.path} was trained on: a network "
                f"for images of {made_for[0]} in {made_for[1]} classes, images of "
                f"{tuple(images.input_shape)} in {images.classes}"
            )
        # The history may be damaged; the checkpoint also holds the number.
        epochs = epochs_done(folder)
    found = evaluate(model, images)
    top5 = f", top-5 {found['top5_error']:.2f}%" if "top5_error" in found else ""
    Console().say(
        f"{folder.path}: {recipe.network}, drop {recipe.drop}, after {epochs} of "
        f"{counted(recipe.epochs, 'epoch')}: test error {found['error']:.2f}%{top5}, "
        f"test loss {found['loss']:.4f} "
        f"on {counted(images.evaluation_count, 'image')} of {recipe.dataset}"
    )
