"""The console of the command line and of progress displays.

It prints any text unchanged on any device: text from users is never read as markup, and failing
output never costs a result (see `streams`).
"""

import os
from typing import Any

import rich.console
import rich.text

from keras_selectscale.streams import SafeStream, encodable, visible

# Width of a console that is no terminal.
UNLIMITED = 10_000


class Console(rich.console.Console):
    """A rich console that prints strings unchanged.

    Args:
        stderr: Whether to print on standard error.
        **kwargs: Further arguments of `rich.console.Console`.
    """

    def __init__(self, *, stderr: bool = False, **kwargs: Any):
        plain = {"markup": False, "emoji": False, "highlight": False}
        super().__init__(stderr=stderr, **{**plain, **kwargs})
        if not self.is_terminal and not {"width"} & set(kwargs) and "COLUMNS" not in os.environ:
            # A pipe or a file has no width, at which rich would break tables and lines.
            self.width = UNLIMITED

    @property
    def file(self) -> Any:
        """The stream to write to."""
        stream = super().file
        return stream if isinstance(stream, SafeStream) else SafeStream(stream)

    @file.setter
    def file(self, stream: Any) -> None:
        self._file = stream

    def render_str(self, text: str, **kwargs: Any) -> rich.text.Text:
        """Converts a string before it is laid out, so that substitutes have their own width."""
        return super().render_str(encodable(visible(text), self.encoding), **kwargs)

    def say(self, text: str) -> None:
        """Prints text without breaking its lines."""
        self.print(text, soft_wrap=True)
