"""What is told of the times of a measurement."""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple


class Quartiles(NamedTuple):
    """The median of some values, between the lower and the upper quartile."""

    low: float
    median: float
    high: float


def quartiles(values: Sequence[float]) -> Quartiles:
    """Returns the quartiles of one value or more, interpolated between neighbours."""
    if len(values) == 1:
        return Quartiles(values[0], values[0], values[0])
    return Quartiles(*statistics.quantiles(values, n=4, method="inclusive"))


def ratios(seconds: Mapping[str, Sequence[float]], side: str, against: str) -> Quartiles:
    """Returns the quartiles of a side's time over another's, taken round by round.

    The two times of a round are near each other in time, so that a machine which is slower for a
    while cancels out.

    Args:
        seconds: Times of each side, one a round.
        side: Name of the side above the line.
        against: Name of the side below it.
    """
    pairs = zip(seconds[side], seconds[against], strict=True)
    return quartiles([ours / theirs for ours, theirs in pairs])


def geometric_mean(values: Iterable[float]) -> float:
    """Returns the mean of ratios: that of their inverses is its inverse."""
    return math.exp(statistics.fmean(math.log(value) for value in values))


def exponent(sizes: Sequence[float], seconds: Sequence[float]) -> float:
    """Returns b of the power law a * size**b that fits times best, by least squares of the logs.

    Args:
        sizes: Two different sizes or more.
        seconds: A time for each.
    """
    slope, _ = statistics.linear_regression(
        [math.log(size) for size in sizes], [math.log(time) for time in seconds]
    )
    return slope
