"""Calls of a function with arguments of which some are bad."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

from hypothesis import strategies as st

from tests.fuzz.values import Kind, anything, first_bad, shown
from tests.fuzz.verdict import Case


class Target(NamedTuple):
    """A function and what its arguments may be.

    Attributes:
        name: Its name.
        function: The function.
        kinds: The kind of each argument.
        required: Those that have no default.
        costly: Whether a success takes long, so that only bad arguments are given.
        others: Names that an error may use for an argument, such as "drop method".
    """

    name: str
    function: Callable[..., Any]
    kinds: Mapping[str, Kind]
    required: Collection[str] = ()
    costly: bool = False
    others: Sequence[str] = ()


@st.composite
def calls(draw: Any, targets: Sequence[Target]) -> Case:
    """Draws a call of one of the targets, with up to three bad arguments."""
    target = draw(st.sampled_from(targets))
    kinds = target.kinds
    least = 1 if target.costly else 0
    bad = draw(st.sets(st.sampled_from(sorted(kinds)), min_size=least, max_size=min(2, len(kinds))))
    arguments: dict[str, Any] = {}
    for name, kind in kinds.items():
        if name in bad:
            arguments[name] = draw(anything())
        elif name in target.required or draw(st.booleans()):
            arguments[name] = draw(kind.good)
    spoilt = draw(st.integers(0, 19))
    must_fail = bool(first_bad(dict(kinds), arguments))
    # Two arguments may be bad, and any two may not go together.
    names = list(arguments)
    if spoilt == 0:
        extra = draw(st.sampled_from(["rate", "x", "noise_shape", "Top_rate", "seeds_"]))
        if extra not in kinds:
            arguments[extra] = 1  # Keras echoes it as it is.
            names, must_fail = [*names, extra], True
    elif spoilt == 1 and target.required:
        missing = draw(st.sampled_from(sorted(target.required)))
        arguments.pop(missing)
        names, must_fail = [*names, missing], True
    text = ", ".join(f"{name}={shown(value)}" for name, value in arguments.items())
    if target.costly and not must_fail:

        def call() -> None:
            """It would succeed, or not; it takes too long to know."""
    else:

        def call() -> None:
            target.function(**arguments)

    return Case(f"{target.name}({text})", call, (*names, *target.others), must_fail)
