"""`keras-selectscale list`."""

from typing import TYPE_CHECKING

import click

from keras_selectscale.cli.backend import start_keras
from keras_selectscale.wording import counted

if TYPE_CHECKING:
    from rich.table import Table

    from keras_selectscale.recipes import PublishedCell

KINDS = ("networks", "drops", "datasets", "recipes", "formats")


@click.command()
@click.argument("what", type=click.Choice(KINDS), required=False)
def command(what: str | None) -> None:
    """List the names that other commands accept: networks, drops, datasets, recipes, formats."""
    from keras_selectscale.console import Console

    start_keras()
    console = Console()
    tables = {
        "networks": _networks,
        "drops": _drops,
        "datasets": _datasets,
        "recipes": _recipes,
        "formats": _formats,
    }
    for kind in [what] if what else KINDS:
        console.print(tables[kind]())


def _networks() -> "Table":
    from keras_selectscale.models.names import FAMILIES

    table = _table("networks", "name", "what it is")
    for family in FAMILIES:
        table.add_row(family.form, family.description)
    return table


def _drops() -> "Table":
    from keras_selectscale.layers.methods import METHODS

    table = _table("drops", "name", "what it is", "default rates")
    for name, method in METHODS.items():
        rates = {"--top-rate": method.top_rate, "--retaining-rate": method.retaining_rate}
        given = [f"{option} {rate:g}" for option, rate in rates.items() if rate is not None]
        table.add_row(name, method.title, " ".join(given))
    return table


def _formats() -> "Table":
    import keras_selectscale.exporting  # noqa: F401, registers the formats
    from keras_selectscale.exporting.formats import FORMATS

    table = _table("formats", "name", "what it is", "default file or folder")
    for name, kind in FORMATS.items():
        table.add_row(name, kind.title, kind.default_name)
    return table


def _datasets() -> "Table":
    from keras_selectscale.data.datasets import SOURCES

    table = _table("datasets", "name", "what it is", "defaults of compare")
    for source in SOURCES:
        defaults = (
            f"{source.network}, {counted(source.epochs, 'epoch')}, batch size {source.batch_size}"
        )
        table.add_row(source.form, source.description, defaults)
    return table


def _recipes() -> "Table":
    from keras_selectscale import recipes

    table = _table("recipes", "name", "what is trained", "published error (%)")
    notes = []
    for name in recipes.names():
        cell = recipes.get(name)
        mark = ""
        if cell.note:
            if cell.note not in notes:
                notes.append(cell.note)
            mark = f" [{notes.index(cell.note) + 1}]"
        table.add_row(name, _trained(cell) + mark, _published(cell))
    table.caption = "\n".join(f"[{number}] {note}" for number, note in enumerate(notes, start=1))
    table.caption_justify = "left"
    return table


def _trained(cell: "PublishedCell") -> str:
    recipe = cell.recipe
    parts = [recipe.dataset]
    if recipe.top_rate is not None:
        parts.append(f"top {recipe.top_rate:g}")
    if recipe.retaining_rate is not None:
        parts.append(f"retaining {recipe.retaining_rate:g}")
    parts.append(counted(recipe.epochs, "epoch"))
    if recipe.score not in (None, "max"):
        parts.append(f"score {recipe.score}")
    if recipe.last_drop != "before_addition":
        parts.append(f"last drop {recipe.last_drop.replace('_', ' ')}")
    if recipe.schedule != "step":
        parts.append(recipe.schedule)
    if recipe.curriculum != "none":
        parts.append(f"{recipe.curriculum} curriculum")
    return ", ".join(parts)


def _published(cell: "PublishedCell") -> str:
    if cell.error is None:
        return ""
    deviation = "" if cell.deviation is None else f" ± {cell.deviation:.2f}"
    top5 = "" if cell.top5_error is None else f", top-5 {cell.top5_error:.2f}"
    return f"{cell.error:.2f}{deviation}{top5}"


def _table(title: str, *headers: str) -> "Table":
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column(headers[0], no_wrap=True)
    for header in headers[1:]:
        table.add_column(header, overflow="fold")
    return table
