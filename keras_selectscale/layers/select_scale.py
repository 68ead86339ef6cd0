"""Random weights for the most important feature maps, Eq. (6) of the paper."""

from typing import Any

import keras

from keras_selectscale.layers import factors, rates
from keras_selectscale.layers.feature_drop import FeatureDrop
from keras_selectscale.layers.selection import TopRanked


@keras.saving.register_keras_serializable(package="keras_selectscale")
class SelectScale(TopRanked, FeatureDrop):
    """Scales the most important feature maps by random weights and leaves the others alone.

    This is the paper's main method. A network stops learning when the patterns that it has found
    suffice. Weakening or strengthening at random only the maps on which it relies is meant to make
    it look for more patterns, with less noise than a drop that affects every map.

        y = r * x,   r ~ Uniform(q, 2 - q) for the top t feature maps of each sample, 1 elsewhere

    The k = max(1, round half up of t * c) maps with the highest scores are scaled, all of them.
    Here q is the *retaining rate*, as in the paper's tables, its Figure 4 and its text: 0 is the
    strongest, Uniform(0, 2), and 1 is the identity. Eq. (6) prints Uniform(1 - q, 1 + q), in which
    q is the *half-width* of the noise, `1 - retaining_rate`.

    Args:
        top_rate: t in (0, 1], the share of the feature maps of each sample that is scaled. Section
            4 suggests 0.1 or 0.2 if it is not tuned.
        retaining_rate: q in [0, 1], or a schedule of it.
        score: `"max"` (max |x|, the paper's), `"average_pool"`, `"global_average"`, the controls
            `"random"` and `"lowest"`, or a callable `(inputs, channel_axis) -> (batch, channels)`.
        {shared}

    Example:

    ```python
    keras.Sequential([keras.layers.Conv2D(16, 3), SelectScale(top_rate=0.2, retaining_rate=0.4)])
    ```

    Reference:
        Eq. (6) and Section 2.3 of Chen et al., IJCAI 2020.
    """

    method_name = "selectscale"
    method_title = "SelectScale"
    method_defaults = {"top_rate": 0.2, "retaining_rate": 0.4}
    method_space = {"top_rate": rates.TOP_RATES, "retaining_rate": rates.SCALE_RATES}

    def __init__(self, *, top_rate: float, retaining_rate: Any, score: Any = "max", **kwargs: Any):
        super().__init__(top_rate=top_rate, retaining_rate=retaining_rate, score=score, **kwargs)

    @property
    def may_drop(self) -> bool:
        """Whether a factor may be 0: the rate is 0, or a schedule may reach 0."""
        return self.retaining_rate == 0.0 or self._is_scheduled

    def draw_factor(self, inputs: Any, retaining_rate: Any) -> Any:
        """Draws r of shape (batch, 1, ..., channels): 1 on the maps that are not candidates."""
        factor = factors.uniform_around_one(
            self.map_shape(inputs),
            1.0 - retaining_rate,
            self.dtype_of(inputs),
            self.seed_generator,
            mask=self.per_map(inputs, self.candidates(inputs)),
        )
        return factors.computed_once(factor)
