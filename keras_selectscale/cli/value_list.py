"""Options that take several values."""

from typing import Any

import click


class ValueList(click.ParamType):
    """Values separated by commas, such as `0.1,0.2,0.4`.

    Args:
        kind: Type of each value: `float`, `int` or `str`.
    """

    def __init__(self, kind: type):
        self.kind = kind
        self.name = {float: "NUMBERS", int: "INTEGERS", str: "NAMES"}[kind]

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[Any, ...]:
        """Returns the values."""
        if isinstance(value, tuple):
            return value
        try:
            return tuple(self.kind(part.strip()) for part in value.split(",") if part.strip())
        except ValueError:
            self.fail(
                f"{value!r} is not a list of {self.name.lower()}, separated by commas.", param, ctx
            )
