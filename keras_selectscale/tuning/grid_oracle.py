"""A grid that goes on after a kill, and that may leave points out."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import keras_tuner

from keras_selectscale.tuning.lasting_oracle import LastingOracle
from keras_selectscale.tuning.rate_space import with_one_share

# The two curves of Figure 4, for SelectScale: error against top rate at the first, and against
# retaining rate at the second.
FIGURE4_RETAINING_RATE = 0.0
FIGURE4_TOP_RATE = 0.2


class GridOracle(LastingOracle, keras_tuner.oracles.GridSearchOracle):
    """Every combination of the values, one after the other.

    Args:
        keep: Callable from a trial's values to whether the point is to be tried; `None` tries all.
        **kwargs: As of `keras_tuner.oracles.GridSearchOracle`.
    """

    _ordered_ids: Any

    def __init__(self, keep: Callable[[Mapping[str, Any]], bool] | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.keep = keep

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Returns the next point, or that there is none."""
        first = not self.start_order
        response = super().populate_space(trial_id)
        # KerasTuner begins with all first values.
        if first and not self._is_kept(response["values"]):
            response["values"] = self._get_next_combination(response["values"])
            if response["values"] is None:
                response["status"] = "STOPPED"
        return response

    def reload(self) -> None:
        """Reads the state of the search, and the order of its points, which is not in the files."""
        super().reload()

        def compare(one: str, other: str) -> int:
            a, b = self.trials[one], self.trials[other]
            return self._compare(a.hyperparameters.values, b.hyperparameters.values)

        order = sorted(self.start_order, key=functools.cmp_to_key(compare))
        self._ordered_ids = type(self._ordered_ids)()
        for trial_id in order:
            self._ordered_ids.insert(trial_id)
        # Of those whose next point has been tried nothing comes.
        self._populate_next = list(self.start_order)

    def _get_next_combination(self, values: dict[str, Any]) -> dict[str, Any] | None:
        following = super()._get_next_combination(values)
        while following is not None and not self._is_kept(following):
            following = super()._get_next_combination(following)
        return following

    def _is_kept(self, values: dict[str, Any]) -> bool:
        if with_one_share(values, self.hyperparameters.space) != values:
            return False
        return self.keep is None or self.keep(values)


def on_figure4(values: Mapping[str, Any]) -> bool:
    """Returns whether a point lies on one of the two curves of Figure 4, or is without drop."""
    if values["drop"] != "selectscale":
        return values["drop"] == "none"
    return (
        values["selectscale/top_rate"] == FIGURE4_TOP_RATE
        or values["selectscale/retaining_rate"] == FIGURE4_RETAINING_RATE
    )
