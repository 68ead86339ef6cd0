"""The paper's rules in NumPy, written from its text and sharing nothing with the package.

All arrays are channels_last here; `channels_last` brings them there.
"""

import itertools
import math
from fractions import Fraction

import numpy as np


def exact(rate):
    """Returns the decimal number that was written: 0.29 and not 0.28999999999999998."""
    return Fraction(repr(float(rate)))


def round_half_up(value):
    return math.floor(value + Fraction(1, 2))


def candidate_count(top_rate, channels):
    """k of Section 2.3."""
    return max(1, round_half_up(exact(top_rate) * channels))


def dropped_count(retaining_rate, channels, top_rate=1.0):
    """d of Section 2.3, cut to the candidates."""
    dropped = round_half_up((1 - exact(retaining_rate)) * channels)
    return min(dropped, candidate_count(top_rate, channels))


def channels_last(array, data_format):
    return np.moveaxis(array, 1, -1) if data_format == "channels_first" else array


def max_score(maps):
    batch, channels = maps.shape[0], maps.shape[-1]
    return np.abs(maps).reshape(batch, -1, channels).max(axis=1)


def global_average_score(maps):
    batch, channels = maps.shape[0], maps.shape[-1]
    return np.abs(maps).astype("float64").reshape(batch, -1, channels).mean(axis=1)


def average_pool_score(maps, window, strides):
    """The maximum of the averages over all windows that lie within the map."""
    magnitude = np.abs(maps).astype("float64")
    sizes = maps.shape[1:-1]
    edges = [min(window, size) for size in sizes]
    starts = [range(0, size - edge + 1, strides) for size, edge in zip(sizes, edges, strict=True)]
    averages = []
    for corner in itertools.product(*starts):
        box = [slice(a, a + edge) for a, edge in zip(corner, edges, strict=True)]
        inside = magnitude[(slice(None), *box)]
        averages.append(inside.mean(axis=tuple(range(1, inside.ndim - 1))))
    return np.max(averages, axis=0)


def top(scores, count):
    """The `count` highest of each row; of equal ones the first."""
    chosen = np.zeros(scores.shape, dtype=bool)
    for row, marks in zip(scores.tolist(), chosen, strict=True):
        order = sorted(range(len(row)), key=lambda channel: (-row[channel], channel))
        marks[order[:count]] = True
    return chosen


def candidates(maps, top_rate):
    return top(max_score(maps), candidate_count(top_rate, maps.shape[-1]))


def check_factor(method, factor, maps, *, retaining_rate, top_rate=1.0, unit=1e-6):
    """Asserts that `factor` is one that the method may draw for `maps`.

    Args:
        method: Name of the layer's class.
        factor: Output over input, in the shape of `maps`.
        maps: The input, channels_last.
        retaining_rate: p or q.
        top_rate: t, for the selecting methods.
        unit: Relative rounding error of the compute dtype.
    """
    inverse = 1 / retaining_rate if retaining_rate else math.inf
    if method == "StandardDropout":
        assert np.all((factor == 0) | (np.abs(factor / inverse - 1) <= unit))
        return
    batch, channels = maps.shape[0], maps.shape[-1]
    rows = factor.reshape(batch, -1, channels)
    assert np.all(rows == rows[:, :1]), "one factor for each feature map of each sample"
    each = rows[:, 0]
    marked = candidates(maps, top_rate)
    if method in ("SpatialDropout", "Selectout"):
        assert np.all((each == 0) | (np.abs(each / inverse - 1) <= unit))
    if method in ("SpatialScale", "SelectScale"):
        assert np.all((each >= retaining_rate) & (each <= 2 - retaining_rate))
    if method == "Selectout":
        dropped = each == 0
        assert np.all(dropped.sum(axis=1) == dropped_count(retaining_rate, channels, top_rate))
        assert not np.any(dropped & ~marked)
    if method == "SelectScale":
        assert np.all(each[~marked] == 1)
    scaled = {"SpatialScale": each, "SelectScale": each[marked]}.get(method)
    if scaled is not None and unit <= 1e-6 and retaining_rate < 0.9:
        assert np.all(scaled != 1)  # In half precision a draw may be 1 by chance.
