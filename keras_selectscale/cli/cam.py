"""`keras-selectscale cam`."""

import pathlib
from typing import Any

import click

from keras_selectscale.cli import options
from keras_selectscale.cli.backend import start_keras
from keras_selectscale.cli.figure import test_images_option
from keras_selectscale.cli.group import input_errors
from keras_selectscale.cli.path_type import OutputFile
from keras_selectscale.cli.value_list import ValueList
from keras_selectscale.wording import counted


@click.command()
@click.argument("networks", metavar="RUN|FILE.keras…", nargs=-1, required=True)
@click.option(
    "--images",
    type=ValueList(str),
    default="0,1,2,3,4,5",
    show_default=True,
    help="Numbers of test images, from 0, or image files (BMP, GIF, JPEG or PNG).",
)
@test_images_option
@options.data_dir_option
@options.runs_dir_option
@click.option(
    "--epochs", is_flag=True, help="Draw the epochs of one run, trained with `train --maps-at`."
)
@click.option("--of-labels", is_flag=True, help="Maps of the true classes, not the predicted ones.")
@click.option(
    "--measure",
    type=int,
    help="Also measure the maps of the true classes of the first N test images, and write the "
    "means with their intervals beside the picture as .json; 0 for all.",
)
@options.precision_option("float32")
@click.option(
    "--out",
    type=OutputFile(".png"),
    default="cam.png",
    show_default=True,
    help="PNG file to write.",
)
@click.pass_context
def command(
    context: click.Context,
    networks: tuple[str, ...],
    data_dir: str | None,
    runs_dir: pathlib.Path,
    out: pathlib.Path,
    **values: Any,
) -> None:
    """Draw the class activation maps of trained networks, side by side.

    The networks are runs or .keras files for the same images: trained differently, or saved after
    different epochs. They must end in global average pooling and a dense layer.
    """
    from keras_selectscale.console import Console

    start_keras()
    from keras_selectscale import files
    from keras_selectscale.experiments import map_figure, map_measures
    from keras_selectscale.experiments.comparison_figure import check_drawable
    from keras_selectscale.experiments.trained_network import EvaluationImages, find_network
    from keras_selectscale.surgery.class_activation import ClassActivation
    from keras_selectscale.surgery.map_history import read_maps
    from keras_selectscale.training import RunFolder
    from keras_selectscale.training.epoch_progress import make_progress

    if values["epochs"]:
        with input_errors():
            _check_epochs_alone(context)
            check_drawable()
            if len(networks) != 1:
                raise ValueError("--epochs draws one run")
            run = RunFolder(options.existing_run(runs_dir, networks[0]))
            kept = read_maps(run.maps_path)
            columns = [(f"epoch {number}", found) for number, found in kept.history.items()]
            map_figure.draw(kept.pixels, columns, out, class_names=kept.class_names)
        images = counted(len(kept.pixels), "image")
        Console().say(f"{out}: {images}, {counted(len(columns), 'epoch')}")
        return
    with input_errors():
        check_drawable()
        trained = [find_network(name, runs_dir) for name in networks]
        dataset = values["dataset"] or trained[0].dataset or "cifar10"
        count = values["measure"] or None
        shown = [EvaluationImages(one, dataset, data_dir, count) for one in trained]
        wanted, labels = values["images"], None
        if all(each.removeprefix("-").isdecimal() for each in wanted):
            pixels, normalized, labels = shown[0].picked([int(each) for each in wanted])
        else:
            pixels, normalized = shown[0].from_files(wanted)
            if values["of_labels"]:
                raise ValueError("--of-labels needs test images, whose classes are known")
        trained = [one.with_precision(values["precision"]) for one in trained]
        chosen = labels if values["of_labels"] else None
        columns = [
            (one.name, ClassActivation(one.model)(normalized, chosen, batch_size=len(pixels)))
            for one in trained
        ]
        names = shown[0].images.class_names
        map_figure.draw(pixels, columns, out, labels=labels, class_names=names)
    Console().say(f"{out}: {counted(len(pixels), 'image')}, {counted(len(columns), 'network')}")
    if values["measure"] is None:
        return
    with make_progress() as progress:
        total = sum(images.batches for images in shown)
        task = progress.add_task("measuring maps", total=total)
        found = [
            map_measures.measure_network(one, images, on_batch=lambda: progress.advance(task))
            for one, images in zip(trained, shown, strict=True)
        ]
    result = map_measures.summary([one.name for one in trained], found)
    table = out.with_suffix(".json")
    files.write_json(table, {"dataset": dataset, "precision": values["precision"], **result})
    for kind in ("networks", "differences"):
        for name, numbers in result[kind].items():
            for key in ("share", "entropy"):
                one = numbers[key]
                Console().say(
                    f"{name}: {key} {one['mean']:.4f} [{one['low']:.4f}, {one['high']:.4f}]"
                )
    Console().say(f"{table}: {result['images']:,} images")


def _check_epochs_alone(context: click.Context) -> None:
    """Raises an error for an option that --epochs would ignore."""
    for name in ("images", "dataset", "data_dir", "of_labels", "measure", "precision"):
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            option = f"--{name.replace('_', '-')}"
            raise ValueError(f"--epochs draws the maps that `train --maps-at` kept: omit {option}")
