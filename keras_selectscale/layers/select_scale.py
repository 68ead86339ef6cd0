"""SelectScale, Eq. (6)."""

from typing import Any

from keras_selectscale.layers import factors
from keras_selectscale.layers.methods import SCALE_RATES, TOP_RATES, SearchSpace, drop_method
from keras_selectscale.layers.spatial_scale import SpatialScale
from keras_selectscale.layers.top_ranked import TopRanked


@drop_method(
    "selectscale",
    title="SelectScale",
    defaults={"top_rate": 0.2, "retaining_rate": 0.4},
    space=SearchSpace({"top_rate": TOP_RATES, "retaining_rate": SCALE_RATES}),
)
class SelectScale(TopRanked, SpatialScale):
    """Scales the most important feature maps by random weights and leaves the others alone.

    The paper's main method. A network stops learning when the patterns that it has suffice; to
    weaken or strengthen just the maps on which it leans makes it look for further ones, with less
    needless noise than a drop that hits every map.

        y = r * x,   r ~ Uniform(q, 2 - q) for the top t feature maps of each sample, 1 elsewhere

    The k = max(1, round half up of t * c) maps with the highest scores are scaled, all of them.
    Here q is the *retaining rate*, as in the paper's tables, its Figure 4 and its text: 0 is the
    strongest, Uniform(0, 2), and 1 the identity. Eq. (6) prints Uniform(1 - q, 1 + q) with another
    q, the *half-width* of the noise; that q is `1 - retaining_rate`.

    Args:
        top_rate: t in (0, 1], the share of the feature maps of each sample that is scaled. Section
            4 suggests 0.1 or 0.2 to whoever does not want to tune it.
        retaining_rate: q in [0, 1], or a schedule of it.
        score: `"max"` (max |x|, the paper's), `"average_pool"`, `"global_average"`, or a callable
            `(inputs, channel_axis) -> (batch, channels)`.
        **kwargs: `data_format`, `seed`, `name`, `dtype` and `trainable`, as in `FeatureDrop`.

    Call arguments:
        inputs: Floating-point tensor of rank 3 to 5 with a known number of channels.
        training: Whether to draw. `False` and absent give `inputs` itself.

    Input shape:
        (batch, …, channels) or (batch, channels, …) by `data_format`.

    Output shape:
        That of the input.

    Raises:
        TypeError: Where a rate is no number.
        ValueError: Where an argument is out of its range, or the input is no batch of feature maps.

    Example:

    ```python
    keras.Sequential([keras.layers.Conv2D(16, 3), SelectScale(top_rate=0.2, retaining_rate=0.4)])
    ```

    Reference:
        Eq. (6) and Section 2.3 of Chen et al., IJCAI 2020.
    """

    def __init__(self, *, top_rate: float, retaining_rate: Any, score: Any = "max", **kwargs: Any):
        super().__init__(top_rate=top_rate, retaining_rate=retaining_rate, score=score, **kwargs)

    def draw_factor(self, inputs: Any, retaining_rate: Any) -> Any:
        """Draws r of shape (batch, 1, …, channels)."""
        mask = self.per_map(inputs, self.candidates(inputs))
        return factors.computed_once(self.draw_scale(inputs, retaining_rate, mask))
