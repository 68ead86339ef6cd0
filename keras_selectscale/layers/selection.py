"""The selecting function S of Section 2.3, as pure functions.

S ranks the feature maps of each sample by a score, takes the top t of them as candidates, and, for
Selectout, picks some of those at random. Nothing here has a shape that depends on data: a selection
is a boolean mask over (batch, channels), and a count may be a tensor.
"""

import inspect
import math
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_selectscale.layers import draws, layout, ranking, scores
from keras_selectscale.layers.average_pool_score import AveragePoolScore
from keras_selectscale.layers.backends import fast_call

Score = Callable[[Any, int], Any]

SCORES: dict[str, Score] = {
    "max": scores.max_score,
    "average_pool": AveragePoolScore(),
    "global_average": scores.global_average_score,
}


def get_score(score: str | Score) -> Score:
    """Returns the score function that `score` names or is, or raises naming the argument."""
    if isinstance(score, str) and score in SCORES:
        return SCORES[score]
    if callable(score) and not inspect.isclass(score):
        return score
    raise ValueError(
        f"Argument `score` must be one of {sorted(SCORES)} or a callable "
        "`(inputs, channel_axis) -> (batch, channels)`. "
        f"Received: score={score!r}"
    )


def candidate_count(top_rate: float, channels: int) -> int:
    """Returns k = max(1, round half up of t * c), the number of candidates."""
    return max(1, math.floor(top_rate * channels + 0.5 + _slack(channels)))


def dropped_count(retaining_rate: Any, channels: int) -> Any:
    """Returns d = round half up of (1 - p) * c, the number of maps that Selectout drops.

    Args:
        retaining_rate: p, a float or a scalar float32 tensor.
        channels: c.

    Returns:
        An int for a float, a scalar int32 tensor for a tensor.
    """
    count = (1.0 - retaining_rate) * channels + 0.5 + _slack(channels)
    if isinstance(retaining_rate, float):
        return math.floor(count)
    return ops.cast(ops.floor(count), "int32")


def _slack(channels: int) -> float:
    # 0.29 * 50 is 14.499999999999998, and (1 - 0.9) * 5 is 0.4999999999999998: both are meant to
    # be halves. In float32, in which a schedule computes, 1 - p is off by up to 6e-8.
    return channels * 1e-6


def top_k_mask(values: Any, count: Any) -> Any:
    """Returns a boolean mask of exactly the `count` highest values of each row.

    Args:
        values: float32 or float64 tensor of shape (batch, channels). Among equals the lower index
            wins; NaN counts as infinity, and -0 and denormals as 0.
        count: How many, an int or a scalar int tensor.

    Returns:
        A boolean tensor of the same shape.
    """
    fast = fast_call("top_k_mask")
    if fast is None or not _has_fast_keys(values):
        return ranking.top_k_mask(values, count)
    return fast(values, count)


def _has_fast_keys(values: Any) -> bool:
    # The backends' own ways compare the 32 bits of a number.
    return keras.backend.standardize_dtype(values.dtype) != "float64"


def candidate_mask(inputs: Any, channel_axis: int, top_rate: float, score: Score) -> Any:
    """Returns the boolean mask (batch, channels) of the feature maps with the top t scores.

    Args:
        inputs: Feature maps of rank 3 to 5. No gradient flows back through the mask.
        channel_axis: Axis of the channels, counted from the front.
        top_rate: t in (0, 1].
        score: Function of the inputs and the channel axis that gives (batch, channels).

    Raises:
        ValueError: Where the score gives another shape.
    """
    inputs = ops.stop_gradient(inputs)
    count = candidate_count(top_rate, inputs.shape[channel_axis])
    if score is scores.max_score and _has_fast_keys(inputs):
        fast = fast_call("max_score_mask")
        if fast is not None:
            return fast(inputs, channel_axis, count)
    return top_k_mask(_checked_score(inputs, channel_axis, score), count)


def _checked_score(inputs: Any, channel_axis: int, score: Score) -> Any:
    batch, channels = inputs.shape[0], inputs.shape[channel_axis]
    values = score(inputs, channel_axis)
    shape = tuple(getattr(values, "shape", ()))
    if not layout.may_be_equal(shape, (batch, channels)):
        raise ValueError(
            "Argument `score` must be a function that gives a tensor of shape (batch, channels), "
            f"here ({batch}, {channels}). Received: score={score!r}, which gives the shape {shape}"
        )
    return scores.at_least_float32(values)


def random_pick(mask: Any, count: Any, seed: keras.random.SeedGenerator) -> Any:
    """Picks exactly `count` of the marked entries of each row at random, without replacement.

    Args:
        mask: Boolean tensor of shape (batch, channels).
        count: How many, an int or a scalar int tensor; where a row has fewer, all of them.
        seed: Random state, advanced by one.

    Returns:
        A boolean tensor of the same shape.
    """
    keys = draws.uniform(ops.shape(mask), 0.0, 1.0, seed)
    keys = keys - ops.cast(ops.logical_not(mask), "float32")  # Below 0 where nothing is marked.
    return ops.logical_and(mask, top_k_mask(keys, count))
