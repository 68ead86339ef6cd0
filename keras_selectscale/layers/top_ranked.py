"""What the selecting layers have in common: a top rate and a score."""

from typing import Any

import keras
from keras import ops

from keras_selectscale.layers import factors, rates, selection
from keras_selectscale.layers.feature_maps import FeatureMaps


class TopRanked(FeatureMaps):
    """A mixin of layers that act on the feature maps with the top t scores alone.

    Args:
        top_rate: t in (0, 1], the share of the feature maps of each sample that are candidates.
        score: `"max"` (the paper's), `"average_pool"`, `"global_average"`, or a callable
            `(inputs, channel_axis) -> (batch, channels)`, registered with Keras if the layer is to
            be saved.
        **kwargs: Arguments of the layer that it is mixed into.
    """

    def __init__(self, *, top_rate: float, score: str | selection.Score = "max", **kwargs: Any):
        super().__init__(**kwargs)
        self.top_rate = rates.as_top_rate(top_rate)
        self.score = score
        self._score_function = selection.get_score(score)

    def candidates(self, inputs: Any) -> Any:
        """Returns the boolean mask (batch, channels) of the feature maps with the top t scores."""
        return selection.candidate_mask(
            inputs, self.channel_axis(inputs), self.top_rate, self._score_function
        )

    def on_candidates(self, inputs: Any, factor: Any) -> Any:
        """Returns `factor`, which broadcasts to `inputs`, on the candidates, and 1 elsewhere."""
        selected = self.per_map(inputs, self.candidates(inputs))
        chosen = ops.where(selected, factor, ops.ones_like(factor))
        # A factor of the size of the maps costs more to hold than to compute again.
        is_one_a_map = chosen.shape[1:] == selected.shape[1:]
        return factors.computed_once(chosen) if is_one_a_map else chosen

    def get_config(self) -> dict[str, Any]:
        """Returns every argument of the layer, a callable score in Keras' serialised form."""
        score = self.score
        if not isinstance(score, str):
            score = keras.saving.serialize_keras_object(score)
        return {**super().get_config(), "top_rate": self.top_rate, "score": score}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "TopRanked":
        """Makes the layer again from `get_config()`."""
        score = config.get("score", "max")
        if isinstance(score, dict):
            score = keras.saving.deserialize_keras_object(score)
        return super().from_config({**config, "score": score})
