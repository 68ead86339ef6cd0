"""What the selecting layers have in common: a top rate and a score."""

from typing import Any

import keras

from keras_selectscale.layers import rates, selection
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
