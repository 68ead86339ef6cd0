"""The options of a training that have the same meaning in several commands."""

from collections.abc import Callable

import click

from keras_selectscale.cli.value_list import ValueList

# Type, default and help. A search takes several values of each.
TRAINING: dict[str, tuple[type, str, str]] = {
    "learning-rate": (float, "0.1", "Initial learning rate."),
    "schedule": (str, "step", "How the learning rate falls: step or cosine."),
    "weight-decay": (float, "5e-4", "Factor of an L2 penalty."),
}


def training_option(name: str, *, several: bool = False) -> Callable:
    """Adds an option of `TRAINING`, of one value or of several, comma-separated."""
    kind, default, text = TRAINING[name]
    of = ValueList(kind) if several else kind
    return click.option(f"--{name}", type=of, default=default, show_default=True, help=text)
