"""Dropout of some of the most important feature maps, Eq. (4) of the paper."""

from collections.abc import Mapping, Sequence
from typing import Any

from keras import ops

from keras_selectscale.layers import factors, rates, selection
from keras_selectscale.layers.feature_drop import FeatureDrop
from keras_selectscale.layers.methods import TOP_RATES, SearchSpace, drop_method
from keras_selectscale.layers.top_ranked import TopRanked

SHARES = (0.2, 0.4, 0.6, 0.8, 1.0)
TOLERANCE = 1e-9


class _ShareSpace(SearchSpace):
    """Top rates t and shares u, because 1 - p <= t must hold.

        p = highest - u * (highest - max(lowest, 1 - t)),   u in (0, 1]

    With the default range of p, 0.5 to 1, that is p = 1 - u * min(t, 0.5). So a pair that is not
    feasible is never drawn, and no hyperparameter's range depends on another one.
    """

    def choices(self, given: Mapping[str, Sequence[Any]]) -> dict[str, tuple[Any, ...]]:
        """Returns the top rates that some retaining rate allows, and the shares."""
        values = super().choices(given)
        bounds = values["retaining_rate"]
        if not bounds:
            return {"top_rate": (), "share": ()}
        return {
            "top_rate": tuple(
                top for top in values["top_rate"] if 1 - max(bounds) <= top + TOLERANCE
            ),
            "share": SHARES if min(bounds) < max(bounds) else (1.0,),
        }

    def arguments(
        self, drawn: Mapping[str, Any], given: Mapping[str, Sequence[Any]]
    ) -> dict[str, Any]:
        """Returns the top rate and the retaining rate of a share."""
        bounds, top_rate = super().choices(given)["retaining_rate"], drawn["top_rate"]
        highest, lowest = max(bounds), max(min(bounds), 1 - top_rate)
        rate = round(highest - drawn["share"] * (highest - lowest), 9)
        return {"top_rate": top_rate, "retaining_rate": rate}

    def infeasible(self) -> str:
        """Returns the reason why `choices` may be empty."""
        return "1 - retaining_rate <= top_rate must hold and the retaining rate be above 0"


# The paper's tables have no Selectout: these are the rates of the example in Section 2.1. With top
# rate 0.1, the lowest share drops 2% of the maps, which "can be enough for some networks".
@drop_method(
    "selectout",
    title="Selectout",
    defaults={"top_rate": 0.2, "retaining_rate": 0.9},
    space=_ShareSpace({"top_rate": TOP_RATES, "retaining_rate": (0.5, 1.0)}),
)
class Selectout(TopRanked, FeatureDrop):
    """Drops feature maps that are picked at random from the most important ones.

    It is very strong: in the paper's Figure 3, dropping about 6% of the maps almost disables a
    trained network. `SelectScale` is the mild version.

        y = r * x / p,   r = S(x, t, p) in {0, 1} for each feature map of each sample

    S takes the k = max(1, round half up of t * c) maps with the highest scores as candidates and
    drops exactly d = round half up of (1 - p) * c of them (at most k), without replacement. "t =
    0.2 and p = 0.9: 10% of the feature maps are dropped, picked from the top 20%." All maps that
    are kept are divided by p, candidates or not, as Eq. (4) is printed.

    Args:
        top_rate: t in (0, 1], the share of the feature maps of each sample that are candidates.
        retaining_rate: p in (0, 1], at least 1 - t, the share of maps that is kept, or a schedule
            of it. 1 is the identity.
        score: `"max"` (max |x|, the paper's), `"average_pool"`, `"global_average"`, or a callable
            `(inputs, channel_axis) -> (batch, channels)`.
        {shared}

    A `ValueError` is also raised if `1 - retaining_rate > top_rate`.

    Example:

    ```python
    keras.Sequential([keras.layers.Conv2D(16, 3), Selectout(top_rate=0.2, retaining_rate=0.9)])
    ```

    Reference:
        Eq. (4) and Section 2.3 of Chen et al., IJCAI 2020.
    """

    divides_by_retaining_rate = True

    def __init__(self, *, top_rate: float, retaining_rate: Any, score: Any = "max", **kwargs: Any):
        super().__init__(top_rate=top_rate, retaining_rate=retaining_rate, score=score, **kwargs)
        rates.check_enough_candidates(self.top_rate, self.retaining_rate)

    def scheduled_range(self) -> tuple[float, float]:
        """Returns the lowest and the highest rate to which a schedule is held."""
        lowest, highest = super().scheduled_range()
        return max(lowest, 1.0 - self.top_rate), highest

    def draw_factor(self, inputs: Any, retaining_rate: Any) -> Any:
        """Draws r / p of shape (batch, 1, …, channels)."""
        channels = inputs.shape[self.channel_axis(inputs)]
        dropped = selection.random_pick(
            self.candidates(inputs),
            selection.dropped_count(retaining_rate, channels),
            self.seed_generator,
        )
        kept = factors.inverse(retaining_rate, self.dtype_of(inputs))
        factor = kept * ops.cast(ops.logical_not(dropped), kept.dtype)
        return self.per_map(inputs, factors.computed_once(factor))
