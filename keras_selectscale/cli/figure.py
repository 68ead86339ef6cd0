"""`keras-selectscale figure`."""

import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from keras_selectscale.cli import options
from keras_selectscale.cli.backend import start_keras
from keras_selectscale.cli.group import FullGroup, input_errors
from keras_selectscale.cli.path_type import OutputFile, PathType
from keras_selectscale.cli.value_list import ValueList
from keras_selectscale.wording import counted

if TYPE_CHECKING:
    from keras_selectscale.experiments.rate_curves import Level

test_images_option = click.option(
    "--dataset",
    default=None,
    help="Dataset of the test images; by default that of the run, or cifar10 for a file.",
)


@click.group(cls=FullGroup, no_args_is_help=False)
def command() -> None:
    """Draw a figure of the paper from a trained network or from recorded runs."""


@command.command("3")
@click.argument("network", metavar="RUN|FILE.keras")
@test_images_option
@options.data_dir_option
@options.runs_dir_option
@click.option("--images", type=int, help="Number of test images, the first ones; by default all.")
@click.option("--rates", type=ValueList(float), help="Retaining rates, such as 0.98,0.94,0.5.")
@click.option("--methods", type=ValueList(str), help="Methods; by default the paper's five.")
@click.option(
    "--top-rate", type=float, default=0.2, show_default=True, help="Top rate of the methods."
)
@click.option(
    "--selectout-top-rate",
    type=float,
    help="Top rate of Selectout; by default 1 - retaining rate, which drops the top maps.",
)
@click.option("--draws", type=int, default=3, show_default=True, help="Draws for each point.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the draws.")
@options.precision_option("float32")
@click.option(
    "--out",
    type=OutputFile(".png"),
    default="figure3.png",
    show_default=True,
    help="PNG file to write. The table is written beside it as .csv, after each point.",
)
@options.stop_option
def figure_3(
    network: str, data_dir: str | None, runs_dir: pathlib.Path, out: pathlib.Path, **values: Any
) -> None:
    """Error of a trained network with drops at test time.

    Each method is inserted into the network and stays active, and its test error is drawn against
    the retaining rate. The network is compiled once per method. The same command continues a table
    that is half done.
    """
    from keras_selectscale.console import Console

    start_keras()
    from keras_selectscale.experiments import drops_at_test_time, error_figure, error_table
    from keras_selectscale.experiments.comparison_figure import check_drawable
    from keras_selectscale.experiments.trained_network import EvaluationImages, find_network
    from keras_selectscale.training.epoch_progress import make_progress

    with input_errors():
        check_drawable()
        grid = drops_at_test_time.as_rates(values["rates"] or drops_at_test_time.RATES)
        chosen = drops_at_test_time.curves(
            values["methods"] or drops_at_test_time.METHODS,
            values["top_rate"],
            values["selectout_top_rate"],
        )
        draws, seed = drops_at_test_time.as_draws(values["draws"], values["seed"])
        trained = find_network(network, runs_dir)
        dataset = values["dataset"] or trained.dataset or "cifar10"
        images = EvaluationImages(trained, dataset, data_dir, values["images"])
        settings = error_table.Settings(
            trained.name, trained.digest, dataset, images.count, values["precision"], seed
        )
        trained = trained.with_precision(values["precision"])
        table = out.with_suffix(".csv")
        done = error_table.read_table(table, settings)

    def keep(points: list[error_table.Point]) -> None:
        error_table.write_table(table, points, settings)
        point = points[-1]
        if progress.disable:
            rate = f" {point.retaining_rate:g}, draw {point.draw + 1}"
            where = "" if point.method == "none" else rate
            Console(stderr=True).say(f"{point.method}{where}: {point.error:.2f}%")

    plan = drops_at_test_time.planned(chosen, grid, draws)
    with make_progress() as progress:
        total = (1 + len(plan)) * images.batches
        begun = min(len(done), 1 + len(plan)) * images.batches
        task = progress.add_task("test error", total=total, completed=begun)
        points = drops_at_test_time.measure(
            trained,
            images,
            settings=settings,
            chosen=chosen,
            grid=grid,
            draws=draws,
            done=done,
            on_point=keep,
            on_batch=lambda: progress.advance(task),
        )
    error_figure.draw(points, settings, chosen, out)
    Console().say(f"{out} and {table}: {len(points)} points on {images.count:,} images")


@command.command("4")
@click.argument(
    "folders", metavar="DIR…", nargs=-1, required=True, type=PathType(path_type=pathlib.Path)
)
@click.option(
    "--top-rate", type=float, default=0.2, show_default=True, help="Top rate of the right panel."
)
@click.option(
    "--retaining-rate",
    type=float,
    default=0.0,
    show_default=True,
    help="Retaining rate of the left panel.",
)
@click.option(
    "--out",
    type=OutputFile(".png"),
    default="figure4.png",
    show_default=True,
    help="PNG file to write. The table is written beside it as .csv.",
)
def figure_4(
    folders: tuple[pathlib.Path, ...], top_rate: float, retaining_rate: float, out: pathlib.Path
) -> None:
    """Error of SelectScale against its top rate and its retaining rate.

    The other methods are horizontal lines. The points are recorded runs (test error) or the trials
    of searches (validation error), found in the folders DIR however deep they are. A grid that is
    not complete is drawn with what exists; damaged runs are named. Runs that differ in more than
    the drop have panels of their own. The runs of winners within searches are left out.
    """
    from keras_selectscale.console import Console

    start_keras()
    from keras_selectscale import files
    from keras_selectscale.experiments import rate_curves, rate_figure, results
    from keras_selectscale.experiments.comparison_figure import check_drawable

    say, warn = Console().say, Console(stderr=True).say
    with input_errors():
        check_drawable()
        searches = sorted({each.parent for dir in folders for each in dir.rglob("search.json")})
        runs = results.find_runs(folders, outside=searches)
        levels = rate_curves.levels_of_runs(results.group_runs(runs.runs))
        trials, damaged = _trials(searches)
        levels += trials
        runs.damaged.extend(damaged)
        left_out = runs.left_out("drawn")
        rates = {"top_rate": top_rate, "retaining_rate": retaining_rate}
        found = rate_curves.settings(levels, **rates)
        if not found:
            raise ValueError(
                f"{', '.join(map(str, folders))}: no finished run or trial of SelectScale has "
                f"retaining rate {retaining_rate:g} or top rate {top_rate:g}"
                + "".join(f"; {sentence}" for sentence in left_out[:1])
                + (f"; and {len(left_out) - 1:,} more" if len(left_out) > 1 else "")
            )
        for sentence in left_out:
            warn(sentence)
        rate_figure.draw(found, out, **rates)
        table = out.with_suffix(".csv")
        files.write_text(table, rate_curves.as_csv(found))
    for number, setting in enumerate(found):
        count = counted(sum(map(len, setting.curves.values())), "point")
        where = "" if number < rate_figure.MOST_SETTINGS else ", in the table only"
        say(f"{setting.title}: {count} of {setting.images} error{where}")
    say(f"{out} and {table}")


def _trials(searches: Sequence[pathlib.Path]) -> tuple[list["Level"], list[str]]:
    """Returns the levels of the trials of searches, and a sentence for each damaged file."""
    from keras_selectscale.experiments.rate_curves import Level
    from keras_selectscale.files import DamagedFileError

    levels: list[Level] = []
    damaged: list[str] = []
    for path in searches:
        from keras_selectscale.tuning import SearchFolder
        from keras_selectscale.tuning.report import finalists

        try:
            folder = SearchFolder(path)
            search = folder.read_search()
            rows = folder.read_trials(lambda error: damaged.append(str(error)))
        except DamagedFileError as error:
            damaged.append(str(error))
            continue
        for row in finalists(search, rows):
            try:
                recipe = search.trial_recipe(row.values)
            except (KeyError, TypeError, ValueError) as error:
                damaged.append(f"{path / f'trial_{row.id}'} is damaged: {error}")
            else:
                levels.append(Level(recipe, tuple(row.errors), "validation"))
    return levels, damaged
