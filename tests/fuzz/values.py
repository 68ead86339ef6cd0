"""Values that nobody expects, and kinds of arguments that know which values are theirs."""

import decimal
import enum
import fractions
import math
import numbers
import pathlib
from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
from hypothesis import strategies as st

LONGEST_TEXT = 160


def shown(value: object) -> str:
    """Returns the `repr` of a value in one short line, whatever the value is."""
    try:
        text = " ".join(repr(value).split())
    except Exception:
        text = f"<{type(value).__name__}>"
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}…[{len(text)}]"


class Hostile:
    """An object whose every method fails."""

    def _fail(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("hostile")

    __repr__ = __str__ = __eq__ = __bool__ = __len__ = __iter__ = __float__ = __int__ = _fail
    __index__ = __array__ = __lt__ = __call__ = __getitem__ = __contains__ = _fail
    __hash__ = None


class NoHash(str):
    """A string that cannot be hashed."""

    __hash__ = None


class Colour(enum.Enum):
    """An enumeration."""

    RED = "max"


def _nested(depth: int) -> list:
    value: list = []
    for _ in range(depth):
        value = [value]
    return value


NUMBERS: tuple[Callable[[], Any], ...] = tuple(
    (lambda value=value: value)
    for value in (
        0, 1, -1, 2, 3, 7, 2**16, 2**31 - 1, 2**31, 2**63, -(2**63), 10**400, True, False,
        0.0, -0.0, 0.1, 0.5, 0.9, 1.0, 1.5, -0.5, 5e-324, 1e-8, 1e38, 1e308, math.nan, math.inf,
        -math.inf, 1j, fractions.Fraction(1, 3), fractions.Fraction(10**400),
        decimal.Decimal("0.5"), decimal.Decimal("NaN"), np.int64(3), np.uint8(1), np.float16(0.5),
        np.float32(0.1), np.float64("nan"), np.bool_(True), np.longdouble(1), np.complex64(1),
    )
)  # fmt: skip
TEXTS: tuple[Callable[[], Any], ...] = tuple(
    (lambda value=value: value)
    for value in (
        "", " ", "x", "no", "none", "None", "max", "True", "0.5", "9" * 5000, "a\nb", "\ud800",
        "\0", "~nouser", "[/]", "[red]x[/red]", "é" * 300, "../x", "-x", "channels_last",
        "channels_first", "float32", "int32", "selectscale", "resnet-8", "digits", "step", "all",
        "test", "train", "random", NoHash("max"), np.str_("max"), b"max", bytearray(b"x"),
    )
)  # fmt: skip
OTHERS: tuple[Callable[[], Any], ...] = (
    lambda: None,
    list,
    lambda: [0],
    lambda: [1, 2],
    lambda: ["max"],
    lambda: [None],
    lambda: [[0.5]],
    lambda: _nested(900),
    tuple,
    lambda: (0.5,),
    lambda: (8, 8, 1),
    lambda: ("a", 5.0),
    lambda: (("a", 5.0),),
    dict,
    lambda: {"a": 1},
    lambda: {1: "a"},
    lambda: {"class_name": "x", "config": {}},
    set,
    lambda: {1, 2},
    lambda: frozenset(["max"]),
    lambda: range(3),
    lambda: (one for one in (1, 2)),
    lambda: iter([]),
    lambda: np.array(0.5),
    lambda: np.zeros(3),
    lambda: np.zeros((0,)),
    lambda: np.zeros((2, 2)),
    lambda: np.array(["max"]),
    lambda: np.array([None, "max"], object),
    lambda: keras.ops.convert_to_tensor(0.5),
    lambda: keras.ops.convert_to_tensor([1, 2]),
    lambda: keras.Variable(1.0),
    lambda: keras.KerasTensor((None, 8, 8, 3)),
    object,
    lambda: int,
    lambda: object,
    lambda: len,
    lambda: lambda *args, **kwargs: None,
    lambda: Ellipsis,
    lambda: NotImplemented,
    lambda: math,
    lambda: ValueError("x"),
    lambda: Colour.RED,
    lambda: pathlib.Path("x"),
    lambda: slice(None),
    lambda: memoryview(b"x"),
    Hostile,
    lambda: keras.layers.Dense(1),
    lambda: keras.layers.Dropout(0.5),
    lambda: keras.optimizers.schedules.PolynomialDecay(1.0, 10, 0.5),
    lambda: keras.optimizers.schedules.PolynomialDecay(1.0, 10, -5.0),
    lambda: keras.optimizers.SGD(),
    lambda: keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]),
)


def anything() -> st.SearchStrategy[Any]:
    """Draws a value of any type."""
    return st.one_of(
        st.sampled_from(NUMBERS + TEXTS + OTHERS).map(lambda make: make()),
        st.sampled_from(NUMBERS).map(lambda make: make()),
        st.text(max_size=8),
        st.integers(),
        st.floats(),
        st.lists(st.one_of(st.integers(-2, 9), st.floats(-1, 2), st.text(max_size=3)), max_size=3),
    )


class Kind(NamedTuple):
    """A kind of argument.

    Attributes:
        allows: Returns whether a value is one, or `None` if only the package knows.
        good: Draws values that are.
    """

    allows: Callable[[Any], bool | None]
    good: st.SearchStrategy[Any]


def number(low: float, high: float, above: bool = False, below: bool = False) -> Kind:
    """Returns the kind of numbers in a range, whose ends may be left out."""

    def allows(value: Any) -> bool:
        if isinstance(value, bool) or not isinstance(value, numbers.Real):
            return False
        try:
            float(value)
        except OverflowError:
            return False
        inside = (low < value if above else low <= value) and (
            value < high if below else value <= high
        )
        return bool(math.isfinite(value) and inside)

    top = min(high, 4.0)
    return Kind(allows, st.floats(low, top, exclude_min=above, exclude_max=below and top == high))


def integer(low: int, high: int, most: int = 8) -> Kind:
    """Returns the kind of integers in a range, of which small ones are drawn."""

    def allows(value: Any) -> bool:
        return (
            isinstance(value, numbers.Integral)
            and not isinstance(value, bool)
            and low <= value <= high
        )

    return Kind(allows, st.integers(low, min(high, max(low, most))))


def choice(*choices: Any) -> Kind:
    """Returns the kind of some strings."""

    def allows(value: Any) -> bool:
        return isinstance(value, str) and any(str.__eq__(value, one) is True for one in choices)

    return Kind(allows, st.sampled_from(choices))


def boolean() -> Kind:
    """Returns the kind of `True` and `False`."""
    return Kind(lambda value: isinstance(value, bool | np.bool_), st.booleans())


def optional(kind: Kind) -> Kind:
    """Returns a kind and `None`."""
    return Kind(
        lambda value: True if value is None else kind.allows(value), st.one_of(st.none(), kind.good)
    )


def instance(classes: Any, *makers: Callable[[], Any]) -> Kind:
    """Returns the kind of some classes' objects, whose further checks only the package knows."""

    def allows(value: Any) -> bool | None:
        return None if isinstance(value, classes) else False

    return Kind(allows, st.sampled_from(makers).map(lambda make: make()))


def names(choices: Collection[str]) -> Kind:
    """Returns the kind of sequences of different strings of some."""

    def allows(value: Any) -> bool | None:
        if isinstance(value, list | tuple):
            one = choice(*choices)
            return None if value and all(one.allows(each) for each in value) else False
        # Other iterables may be taken.
        return None if hasattr(type(value), "__iter__") and not isinstance(value, bytes) else False

    return Kind(allows, st.lists(st.sampled_from(sorted(choices)), min_size=1, unique=True))


def sequence(kind: Kind, least: int = 0, most: int = 3) -> Kind:
    """Returns the kind of lists or tuples of a kind."""

    def allows(value: Any) -> bool | None:
        if isinstance(value, list | tuple):
            return None if all(kind.allows(each) is not False for each in value) else False
        return None if hasattr(type(value), "__iter__") and not isinstance(value, str) else False

    return Kind(allows, st.lists(kind.good, min_size=least, max_size=most).map(tuple))


def unknown(*values: Any) -> Kind:
    """Returns the kind of which only the package knows what it allows."""
    return Kind(lambda value: None, st.sampled_from(values))


def first_bad(kinds: dict[str, Kind], arguments: dict[str, Any]) -> Sequence[str]:
    """Returns the arguments whose values are certainly not allowed."""
    return [
        name for name, value in arguments.items() if name in kinds and _refuses(kinds[name], value)
    ]


def _refuses(kind: Kind, value: Any) -> bool:
    try:
        return kind.allows(value) is False
    except Exception:  # An object that answers nothing is nothing.
        return True
