"""Options and arguments that are paths."""

import os
import pathlib
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


class OutputFile(PathType):
    """A file that the command writes at its end, so that its folder must exist now.

    Args:
        ending: What the name must end in, such as `".png"`, if the command also writes a file that
            differs from it in the ending; empty for any.
    """

    def __init__(self, ending: str = ""):
        super().__init__(dir_okay=False, path_type=pathlib.Path)
        self.ending = ending

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Returns the path, if a file can be written there."""
        path: pathlib.Path = super().convert(value, param, ctx)
        if self.ending and path.suffix != self.ending:
            self.fail(f"'{path}' must end in {self.ending}", param, ctx)
        try:
            is_folder = path.parent.is_dir()
        except OSError as error:  # Such as a name that is too long.
            self.fail(f"'{path}': {error.strerror}", param, ctx)
        if not is_folder:
            self.fail(f"'{path}': the folder '{path.parent}' does not exist", param, ctx)
        if not os.access(path.parent, os.W_OK):
            self.fail(f"'{path}': the folder '{path.parent}' cannot be written", param, ctx)
        return path
