"""Options and arguments that are paths."""

from typing import Any

import click

from keras_selectscale.object_checks import as_path


class PathType(click.Path):
    """A path that a file system can have; `~` stands for the home folder."""

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Returns the path of a text.

        Click takes an empty text for the working folder, and fails if a name cannot be encoded.
        """
        name = param.name if param else "path"
        try:
            path = as_path(name, value)
        except ValueError as error:
            self.fail(str(error).removeprefix(f"Argument `{name}` "), param, ctx)
        return super().convert(str(path), param, ctx)
