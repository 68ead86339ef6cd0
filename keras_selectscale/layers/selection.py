"""The selecting function S of Section 2.3, and the mixin of the layers that select.

S ranks the feature maps of each sample by a score and takes the top t of them as candidates. A
selection is a boolean mask over (batch, channels), so that no shape depends on data; a count may be
a tensor.
"""

import functools
import inspect
import math
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_selectscale.checks import as_number, value_error
from keras_selectscale.layers import feature_maps
from keras_selectscale.layers.backends import fast_call, ranking

Score = Callable[..., Any]  # (inputs, channel_axis) -> (batch, channels)
SLACK = 1e-6  # Per channel, before rounding: 0.29 * 50 is 14.499999999999998.


def max_score(inputs: Any, channel_axis: int) -> Any:
    """Returns max |y| over the spatial positions, the paper's score, in the dtype of `inputs`."""
    axes = feature_maps.spatial_axes(channel_axis, len(inputs.shape))
    # Without `initial`, an empty batch has no maximum.
    return ops.max(ops.abs(inputs), axis=axes, initial=0)


# The scores by name; `scores.py` adds its own.
SCORES: dict[str, Score] = {"max": max_score}


def get_score(score: str | Score) -> Score:
    """Returns the score function that `score` names or is, or raises a `ValueError`."""
    if isinstance(score, str) and score in SCORES:
        return SCORES[score]
    if callable(score) and not inspect.isclass(score):
        return score
    expected = f"one of {sorted(SCORES)} or a callable `(inputs, channel_axis)` that returns"
    raise value_error("score", f"{expected} (batch, channels)", score)


def candidate_count(top_rate: float, channels: int) -> int:
    """Returns k = max(1, round half up of t * c), the number of candidates."""
    return max(1, math.floor(top_rate * channels + 0.5 + SLACK * channels))


def top_k_mask(values: Any, count: Any) -> Any:
    """Returns a boolean mask of exactly the `count` highest float32 or float64 values of each row.

    Among equal values the lower index wins; NaN counts as infinity, -0 and denormals as 0.
    """
    fast = fast_call("top_k_mask") if _has_fast_keys(values) else None
    return (fast or ranking.top_k_mask_by_rank)(values, count)


def _has_fast_keys(values: Any) -> bool:
    # The backends' faster calls compare the 32 bits of a number.
    return keras.backend.standardize_dtype(values.dtype) != "float64"


def candidate_mask(inputs: Any, channel_axis: int, top_rate: float, score: Score) -> Any:
    """Returns the boolean mask (batch, channels) of the feature maps with the top t scores."""
    inputs = ops.stop_gradient(inputs)
    count = candidate_count(top_rate, inputs.shape[channel_axis])
    fast = fast_call("max_score_mask") if score is max_score and _has_fast_keys(inputs) else None
    if fast is not None:
        return fast(inputs, channel_axis, count)
    batch, channels = inputs.shape[0], inputs.shape[channel_axis]
    # Some pooling, and the maximum on PyTorch, fail on an empty batch.
    values = score(inputs, channel_axis) if batch != 0 else ops.zeros((0, channels))
    shape = tuple(getattr(values, "shape", ()))
    if not feature_maps.may_be_equal(shape, (batch, channels)):
        raise ValueError(
            "Argument `score` must be a function that returns a tensor of shape (batch, channels), "
            f"here ({batch}, {channels}). Received: score={score!r}, which returns {shape}"
        )
    return top_k_mask(at_least_float32(values), count)


def at_least_float32(values: Any) -> Any:
    """Returns `values` in float32 if they are narrower, which keeps their order."""
    is_wide = keras.backend.standardize_dtype(values.dtype) in ("float32", "float64")
    return values if is_wide else ops.cast(values, "float32")


class TopRanked(feature_maps.FeatureMaps):
    """A mixin of layers that act only on the feature maps with the top t scores."""

    def __init__(self, *, top_rate: float, score: str | Score = "max", **kwargs: Any):
        super().__init__(**kwargs)
        self.top_rate = as_number("top_rate", top_rate, 0, 1, above=True)
        self.score = score
        self._score_function = get_score(score)

    def candidates(self, inputs: Any) -> Any:
        """Returns the boolean mask (batch, channels) of the feature maps with the top t scores."""
        axis, score = self.channel_axis(inputs), self._score_function
        if getattr(score, "draws", False):  # A control of `scores.py`.
            score = functools.partial(score, seed=self.seed_generator)
        return candidate_mask(inputs, axis, self.top_rate, score)

    def get_config(self) -> dict[str, Any]:
        """Returns all arguments of the layer, a callable score in Keras' serialized form."""
        named = isinstance(self.score, str)
        score = self.score if named else keras.saving.serialize_keras_object(self.score)
        return {**super().get_config(), "top_rate": self.top_rate, "score": score}
