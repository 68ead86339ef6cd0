"""`keras-selectscale list`."""

import click

from keras_selectscale.cli.backend import start_keras


@click.command()
@click.argument("what", type=click.Choice(["networks", "drops", "datasets"]), required=False)
def command(what: str | None) -> None:
    """List the networks, drops and datasets by the names that the other commands take."""
    start_keras()
    from rich.console import Console
    from rich.table import Table

    from keras_selectscale.data import DATASETS
    from keras_selectscale.layers.methods import METHODS
    from keras_selectscale.models.names import FAMILIES

    drops = []
    for name, method in METHODS.items():
        rates = {"--top-rate": method.top_rate, "--retaining-rate": method.retaining_rate}
        defaults = " ".join(f"{key} {value:g}" for key, value in rates.items() if value is not None)
        drops.append((name, f"{method.title}{f' ({defaults})' if defaults else ''}"))
    rows = {
        "networks": [(family.form, family.description) for family in FAMILIES],
        "drops": drops,
        "datasets": list(DATASETS.items()),
    }
    for kind in [what] if what else rows:
        table = Table("name", "what it is", title=kind, title_justify="left", box=None)
        for row in rows[kind]:
            table.add_row(*row)
        Console().print(table)
