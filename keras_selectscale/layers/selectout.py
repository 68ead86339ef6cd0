"""Dropout of some of the most important feature maps, Eq. (4) of the paper."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import ops

from keras_selectscale.checks import ArgumentValueError
from keras_selectscale.layers import bernoulli, factors, rates, schedules, selection
from keras_selectscale.layers.feature_drop import FeatureDrop
from keras_selectscale.layers.methods import SearchSpace
from keras_selectscale.layers.selection import TopRanked

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
        highest, lowest = max(bounds), max(min(bounds), self.lowest_retaining_rate(top_rate))
        rate = round(highest - drawn["share"] * (highest - lowest), 9)
        return {"top_rate": top_rate, "retaining_rate": rate}

    def lowest_retaining_rate(self, top_rate: float) -> float:
        """Returns the lowest feasible retaining rate for a top rate."""
        return 1 - top_rate

    def infeasible(self) -> str:
        """Returns the reason why `choices` may be empty."""
        return "1 - retaining_rate <= top_rate must hold and the retaining rate be above 0"


# The paper's tables have no Selectout: these are the rates of the example in Section 2.1. With top
# rate 0.1, the lowest share drops 2% of the maps, which "can be enough for some networks".
@keras.saving.register_keras_serializable(package="keras_selectscale")
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
        score: `"max"` (max |x|, the paper's), `"average_pool"`, `"global_average"`, the controls
            `"random"` and `"lowest"`, or a callable `(inputs, channel_axis) -> (batch, channels)`.
        {shared}

    A `ValueError` is also raised if `1 - retaining_rate > top_rate`.

    Example:

    ```python
    keras.Sequential([keras.layers.Conv2D(16, 3), Selectout(top_rate=0.2, retaining_rate=0.9)])
    ```

    Reference:
        Eq. (4) and Section 2.3 of Chen et al., IJCAI 2020.
    """

    method_name = "selectout"
    method_title = "Selectout"
    method_defaults = {"top_rate": 0.2, "retaining_rate": 0.9}
    method_space = _ShareSpace({"top_rate": rates.TOP_RATES, "retaining_rate": (0.5, 1.0)})
    divides_by_retaining_rate = True

    def __init__(self, *, top_rate: float, retaining_rate: Any, score: Any = "max", **kwargs: Any):
        super().__init__(top_rate=top_rate, retaining_rate=retaining_rate, score=score, **kwargs)
        check_enough_candidates(self.top_rate, self.retaining_rate)

    def scheduled_range(self) -> tuple[float, float]:
        """Returns the lowest and the highest rate, to which a schedule is clipped."""
        lowest, highest = super().scheduled_range()
        return max(lowest, 1.0 - self.top_rate), highest

    def draw_factor(self, inputs: Any, retaining_rate: Any) -> Any:
        """Draws r / p of shape (batch, 1, …, channels)."""
        channels = inputs.shape[self.channel_axis(inputs)]
        dropped = random_pick(
            self.candidates(inputs),
            dropped_count(retaining_rate, channels),
            self.seed_generator,
        )
        kept = bernoulli.inverse(retaining_rate, self.dtype_of(inputs))
        factor = kept * ops.cast(ops.logical_not(dropped), kept.dtype)
        return self.per_map(inputs, factors.computed_once(factor))


def check_enough_candidates(top_rate: float, retaining_rate: Any) -> None:
    """Raises a `ValueError` if more feature maps are to be dropped than there are candidates."""
    rate, where = schedules.lowest(retaining_rate)
    if 1 - rate > top_rate + schedules.TOLERANCE:
        raise ArgumentValueError.about(
            "retaining_rate",
            "Arguments `top_rate` and `retaining_rate` must satisfy "
            "1 - retaining_rate <= top_rate: the dropped maps are picked from the top maps. "
            f"Received: top_rate={top_rate!r}, retaining_rate={rate:.6g}{where}",
        )


def dropped_count(retaining_rate: Any, channels: int) -> Any:
    """Returns d = round half up of (1 - p) * c, the number of maps to drop.

    Args:
        retaining_rate: p, a float or a scalar float32 tensor.
        channels: c.

    Returns:
        An int for a float, a scalar int32 tensor for a tensor.
    """
    count = (1.0 - retaining_rate) * channels + 0.5 + selection.SLACK * channels
    if isinstance(retaining_rate, float):
        return math.floor(count)
    return ops.cast(ops.floor(count), "int32")


def random_pick(mask: Any, count: Any, seed: keras.random.SeedGenerator) -> Any:
    """Picks exactly `count` of the marked entries of each row at random, without replacement.

    Args:
        mask: Boolean tensor of shape (batch, channels).
        count: An int or a scalar int tensor; if a row has fewer marked entries, all are picked.
        seed: Random state, advanced by one.

    Returns:
        A boolean tensor of the same shape.
    """
    keys = factors.uniform(ops.shape(mask), 0.0, 1.0, seed)
    keys = keys - ops.cast(ops.logical_not(mask), "float32")  # Below 0 if not marked.
    return ops.logical_and(mask, selection.top_k_mask(keys, count))
