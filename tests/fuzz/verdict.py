"""What a case is, and the one predicate of a correct answer."""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

ALLOWED = (ValueError, TypeError, OSError)
# Python's and the libraries' own words for what should have been checked before.
RAW = re.compile(
    r"unhashable|truth value|recursion|zlib|Traceback|'NoneType' object|unsupported operand|"
    r"KeyError|AttributeError|has no attribute|not subscriptable|not iterable|not supported between"
    r"|cannot be interpreted as|local variable|codec can't|unpack|list index|setting an array|"
    r"must be real number|argument must be|INVALID_ARGUMENT|\{\{node"
)
LONGEST_MESSAGE = 1200
# A library's echo of at most 200 characters, with what stands around it.
LONGEST_ECHO = 320
# Keras adds the arguments of the call, in lines of its own, and the whole config of a layer.
KERAS_ADDS = re.compile(
    r"\n+Arguments received by .*|^Exception encountered when calling [^\n]*\n+(\x1b\[1m)?", re.S
)
COLOURS = re.compile(r"\x1b\[\d*m")


class Case(NamedTuple):
    """One input.

    Attributes:
        text: The input in one line, to read and to repeat it.
        call: Gives it to the package.
        names: The message of an error contains one of these: the argument, the file.
        must_fail: Whether success is a wrong answer.
    """

    text: str
    call: Callable[[], Any]
    names: tuple[str, ...]
    must_fail: bool = False


class CommandFailed(Exception):
    """A command line ended with another exit status than 0."""

    def __init__(self, status: int, lines: str):
        super().__init__(lines)
        self.status = status


def wrong(case: Case, error: BaseException | None) -> str | None:
    """Returns what is wrong with the answer to a case, or `None`.

    An answer is correct if it is a success that is allowed, or an error of an allowed type whose
    message names the argument or the file, is short, and is in the package's own words. The error
    of a command is one line with exit status 2.
    """
    if error is None:
        return "accepted" if case.must_fail else None
    message = str(error)
    if isinstance(error, CommandFailed):
        if error.status != 2:
            return f"exit status {error.status}"
        if len(message.strip().splitlines()) != 1:
            return f"{len(message.strip().splitlines())} lines"
    elif not isinstance(error, ALLOWED):
        return f"raises {type(error).__name__}"
    message = COLOURS.sub("", KERAS_ADDS.sub("", message)).strip()
    if isinstance(error, UnicodeError) or RAW.search(message):
        return f"{type(error).__name__} with a raw message"
    if len(message) > LONGEST_MESSAGE or re.search(rf"[^\s/,]{{{LONGEST_ECHO},}}", message):
        return "long message"
    if not any(_mentions(message, name) for name in case.names):
        return f"{type(error).__name__} names none of {', '.join(case.names[:4])}"
    return None


def _mentions(message: str, name: str) -> bool:
    option = f"--{name.replace('_', '-')}"
    return option in message or re.search(rf"(?<!\w){re.escape(name)}(?!\w)", message) is not None
