"""Text streams whose failures do not stop the work.

A character that the device's encoding does not have is substituted. A device that fails (a closed
pipe, a full disk, a closed descriptor) loses the output, not the work.
"""

import contextlib
import os
import sys
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Any

# Characters whose compatibility form in Unicode is not the usual spelling in ASCII.
SUBSTITUTES = {
    "±": "+-",
    "×": "x",
    "–": "-",
    "—": "-",
    "−": "-",
    "·": ".",
    "•": "*",
    "→": "->",
    "≤": "<=",
    "≥": ">=",
    "µ": "u",
    "μ": "u",
    "‘": "'",
    "’": "'",
    "“": '"',
    "”": '"',
    "━": "-",
    "─": "-",
    "│": "|",
}
UNKNOWN = "?"


def encodable(text: str, encoding: str) -> str:
    """Returns text with substitutes for the characters that an encoding does not have."""
    try:
        text.encode(encoding)
        return text
    except LookupError:
        encoding = "ascii"
    except UnicodeEncodeError:
        pass
    return "".join(_substitute(character, encoding) for character in text)


def visible(text: str) -> str:
    """Returns text with a question mark for each control character except line feeds and tabs.

    The name of a file thus cannot move the cursor or change the title of a terminal.
    """
    if text.isprintable():
        return text
    return "".join(each if _is_visible(each) else UNKNOWN for each in text)


class SafeStream:
    """A text stream that substitutes what its device cannot encode and survives its failure.

    Args:
        stream: A text stream, or `None`, which Python uses for a descriptor that was closed before
            it started.

    Attributes:
        error: The first error of the device, or `None`.
    """

    def __init__(self, stream: Any):
        self._stream = stream
        self.error: Exception | None = None

    @property
    def encoding(self) -> str:
        """The encoding of the device."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    def write(self, text: str) -> int:
        """Writes text as far as the device accepts it, and returns its length."""
        fitting = encodable(text, self.encoding)
        if self._stream is not None and not isinstance(self.error, BrokenPipeError):
            with self._survived():
                self._stream.write(fitting)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Writes several strings."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Flushes the device."""
        if self._stream is not None and not isinstance(self.error, BrokenPipeError):
            with self._survived():
                self._stream.flush()

    def isatty(self) -> bool:
        """Returns whether the device is a terminal."""
        try:
            return self._stream is not None and self._stream.isatty()
        except ValueError:  # The stream is closed.
            return False

    def __getattr__(self, name: str) -> Any:
        # Without a buffer of bytes, no output can bypass the substitution.
        if name == "buffer" or name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._stream, name)

    @contextlib.contextmanager
    def _survived(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError) as error:
            self.error = self.error or error


def say(text: str) -> None:
    """Prints text on standard output, whatever its encoding or state."""
    print(text, file=SafeStream(sys.stdout), flush=True)  # type: ignore[arg-type]


@contextlib.contextmanager
def safe_streams() -> Iterator[SafeStream]:
    """Replaces the standard streams by safe ones, and yields standard output.

    Descriptors that were closed before this process started are opened on the null device first.
    """
    open_closed_descriptors()
    before = sys.stdout, sys.stderr
    safe = SafeStream(sys.stdout), SafeStream(sys.stderr)
    sys.stdout, sys.stderr = safe  # type: ignore[assignment]
    try:
        yield safe[0]
    finally:
        for stream in safe:
            stream.flush()
            if stream.error is not None:
                _discard(stream)
        sys.stdout, sys.stderr = before


def _is_visible(character: str) -> bool:
    space = character in "\n\t" or unicodedata.category(character) == "Zs"
    return space or character.isprintable()


def _substitute(character: str, encoding: str) -> str:
    try:
        character.encode(encoding)
        return character
    except UnicodeEncodeError:
        pass
    plain = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return SUBSTITUTES.get(character) or plain or UNKNOWN


def open_closed_descriptors() -> None:
    """Opens standard descriptors that were closed before this process started on the null device.

    Otherwise the next file that is opened would become standard error, and a library's warnings
    would be written into it.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest free number, which is this one, since those below it are open.
            os.open(os.devnull, os.O_RDWR)


def _discard(stream: SafeStream) -> None:
    """Discards output that a failed device did not accept; Python would try to write it on exit."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        descriptor = stream.fileno()
        if descriptor in (1, 2):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, descriptor)
            os.close(null)
