"""Statistics of the times of a measurement."""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple


class Quartiles(NamedTuple):
    """The lower quartile, the median and the upper quartile of some values."""

    low: float
    median: float
    high: float


def quartiles(values: Sequence[float]) -> Quartiles:
    """Returns the quartiles of one or more values, with linear interpolation."""
    if len(values) == 1:
        return Quartiles(values[0], values[0], values[0])
    return Quartiles(*statistics.quantiles(values, n=4, method="inclusive"))


def ratios(seconds: Mapping[str, Sequence[float]], side: str, against: str) -> Quartiles:
    """Returns the quartiles of the ratio of a side's time to another's, round by round.

    The two sides of a round are measured one after the other, so that a machine that is slow for a
    while cancels out.

    Args:
        seconds: Times of each side, one per round.
        side: Name of the side in the numerator.
        against: Name of the side in the denominator.
    """
    pairs = zip(seconds[side], seconds[against], strict=True)
    return quartiles([ours / theirs for ours, theirs in pairs])


def geometric_mean(values: Iterable[float]) -> float:
    """Returns the geometric mean of ratios; that of their inverses is its inverse."""
    return math.exp(statistics.fmean(math.log(value) for value in values))


def exponent(sizes: Sequence[float], seconds: Sequence[float]) -> float:
    """Returns the exponent b of the power law a * size**b, fitted by least squares of the logs.

    Args:
        sizes: Two or more different sizes.
        seconds: One time for each size.
    """
    slope, _ = statistics.linear_regression(
        [math.log(size) for size in sizes], [math.log(time) for time in seconds]
    )
    return slope


def compared(
    what: str, unit: str, ours: Sequence[float], peer: Sequence[float] | None
) -> dict[str, Any]:
    """Returns a row of a comparison: the quartiles of both sides and of their ratio.

    Args:
        what: What was measured.
        unit: Unit of the values.
        ours: Values of this package, one per round.
        peer: Values of the peer in the same rounds, or `None` if it was not measured.
    """
    both = {"ours": ours, "peer": peer} if peer else {}
    ratio = ratios(both, "ours", "peer") if both else None
    return {
        "what": what,
        "unit": unit,
        "ours": quartiles(ours),
        "peer": quartiles(peer) if peer else None,
        "ratio": ratio,
    }
