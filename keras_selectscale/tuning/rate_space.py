"""Which drops a search draws from."""

import dataclasses
import math
import numbers
from collections.abc import Mapping, Sequence
from typing import Any

from keras_selectscale.layers.methods import METHODS, get_method

DEFAULT_METHODS = ("selectscale", "selectout")
# The paper's rates are tenths (Tables 1 and 2, Figure 4). A retaining rate of 1 is no drop, and
# that of no method is searched: name "none" among the methods instead.
TOP_RATES = tuple(tenth / 10 for tenth in range(1, 11))
SCALE_RATES = tuple(tenth / 10 for tenth in range(10))
DROPOUT_RATES = tuple(tenth / 10 for tenth in range(5, 10))
# Selectout's are a range, of which it takes shares: with top rate 0.1, the lowest share drops 2%
# of the maps, which "can be enough for some networks" (Section 2.1).
SELECTOUT_RANGE = (0.5, 1.0)
SHARES = (0.2, 0.4, 0.6, 0.8, 1.0)
# With a top rate t and a highest retaining rate of 1 - t every share is the same drop, and this one
# stands for them. Where there is such a top rate it is the default, by which an oracle knows. A
# condition on the top rate would not do: a worker gets 32 bits of it, which are equal to no value.
ONE_SHARE = 1.0
TOLERANCE = 1e-9


@dataclasses.dataclass(frozen=True)
class RateSpace:
    """The drops of a search: methods, and for each the rates that can be drawn.

    The rates are lists of values, which are drawn exactly as they stand. Selectout is drawn by its
    top rate t and a share u instead, because 1 - p <= t must hold:

        p = highest - u * (highest - max(lowest, 1 - t)),   u in (0, 1]

    With the default range of p, 0.5 to 1, that is p = 1 - u * min(t, 0.5). So a pair that cannot
    be met is never drawn, and no hyperparameter's range depends on another one. Where 1 - t is the
    highest p already, all shares are the same drop, and the oracles of `DropTuner` try one.

    Attributes:
        methods: Names of drop methods, as `keras-selectscale list drops` prints them.
        top_rates: Values in (0, 1] for the selecting methods; `None` for 0.1, 0.2, … 1.
        retaining_rates: Values in [0, 1] for all methods, of which those that divide by the rate
            leave 0 out, and Selectout takes the lowest and the highest; `None` for 0, 0.1, … 0.9
            (scales), 0.5, 0.6, … 0.9 (dropouts), 0.5 to 1 (Selectout).

    Raises:
        TypeError: Where a rate is no number.
        ValueError: Where a method is unknown, a rate is out of its range or comes twice, or nothing
            that a method could draw is feasible.
    """

    methods: Sequence[str] = DEFAULT_METHODS
    top_rates: Sequence[float] | None = None
    retaining_rates: Sequence[float] | None = None

    def __post_init__(self) -> None:
        """Checks every value, and that each method has something to draw."""
        methods = (self.methods,) if isinstance(self.methods, str) else tuple(self.methods)
        if not methods or len(set(methods)) < len(methods):
            raise ValueError(
                "Argument `methods` must be names of drop methods, at least one and each once. "
                f"Received: methods={self.methods!r}"
            )
        for method in methods:
            if method not in METHODS:
                raise ValueError(
                    f"Argument `methods` must be among {list(METHODS)}. "
                    f"Received: methods={self.methods!r}"
                )
        object.__setattr__(self, "methods", methods)
        for name in ("top_rates", "retaining_rates"):
            values = getattr(self, name)
            if values is not None:
                object.__setattr__(self, name, _as_rates(name, values))
        for method in methods:
            self._check_feasible(method)

    def choices(self, method: str) -> dict[str, tuple[float, ...]]:
        """Returns the values of each hyperparameter of a method, by its name within the method."""
        if get_method(method).layer is None:
            return {}
        rates = self._retaining_rates(method)
        if get_method(method).top_rate is None:
            return {"retaining_rate": rates}
        tops = tuple(self.top_rates or TOP_RATES)
        if method != "selectout":
            return {"top_rate": tops, "retaining_rate": rates}
        if not rates:
            return {"top_rate": (), "share": ()}
        return {
            "top_rate": tuple(top for top in tops if 1 - max(rates) <= top + TOLERANCE),
            "share": SHARES if min(rates) < max(rates) else (1.0,),
        }

    def draw(self, hp: Any) -> dict[str, Any]:
        """Draws a method and its rates.

        Args:
            hp: A `keras_tuner.HyperParameters`.

        Returns:
            `drop`, `top_rate` and `retaining_rate`, as a `Recipe` takes them.
        """
        values = {"drop": hp.Choice("drop", list(self.methods))}
        for method in self.methods:
            # The hyperparameters of one method are inactive while another one is drawn.
            with hp.conditional_scope("drop", [method]):
                for name, choices in self.choices(method).items():
                    values[f"{method}/{name}"] = hp.Choice(
                        f"{method}/{name}",
                        list(choices),
                        default=ONE_SHARE if name == "share" and self._repeats_shares() else None,
                    )
        return self.rates(values)

    def rates(self, values: dict[str, Any]) -> dict[str, Any]:
        """Returns `drop`, `top_rate` and `retaining_rate` of a trial's hyperparameter values."""
        method = values["drop"]
        rates: dict[str, Any] = {"drop": method, "top_rate": None, "retaining_rate": None}
        for name, choices in self.choices(method).items():
            # The nearest: on its way from one process to another a value may lose digits.
            value = min(choices, key=lambda choice: abs(choice - values[f"{method}/{name}"]))
            rates[name] = value
        share = rates.pop("share", None)
        if share is not None:
            bounds = self._retaining_rates(method)
            highest, lowest = max(bounds), max(min(bounds), 1 - rates["top_rate"])
            rates["retaining_rate"] = round(highest - share * (highest - lowest), 9)
        return rates

    def size(self) -> int:
        """Returns how many different drops there are."""
        points = sum(
            math.prod(len(choices) for choices in self.choices(method).values())
            for method in self.methods
        )
        return points - (len(SHARES) - 1 if self._repeats_shares() else 0)

    def _repeats_shares(self) -> bool:
        """Returns whether Selectout's lowest top rate leaves one retaining rate to all shares."""
        if "selectout" not in self.methods:
            return False
        choices = self.choices("selectout")
        highest = max(self._retaining_rates("selectout"))
        return choices["share"] == SHARES and 1 - min(choices["top_rate"]) >= highest - TOLERANCE

    def _retaining_rates(self, method: str) -> tuple[float, ...]:
        layer = get_method(method).layer
        divides = layer is not None and layer.divides_by_retaining_rate
        if self.retaining_rates is not None:
            return tuple(rate for rate in self.retaining_rates if rate > 0 or not divides)
        if method == "selectout":
            return SELECTOUT_RANGE
        return DROPOUT_RATES if divides else SCALE_RATES

    def _check_feasible(self, method: str) -> None:
        for choices in self.choices(method).values():
            if not choices:
                reason = (
                    "1 - retaining_rate <= top_rate must hold and the retaining rate be above 0"
                    if method == "selectout"
                    else "the method divides by the retaining rate, which must be above 0"
                )
                raise ValueError(
                    "Arguments `top_rates` and `retaining_rates` leave nothing feasible for the "
                    f"method {method!r}: {reason}. Received: top_rates={self.top_rates!r}, "
                    f"retaining_rates={self.retaining_rates!r}"
                )


def with_one_share(values: Mapping[str, Any], space: Sequence[Any]) -> dict[str, Any]:
    """Returns a trial's values, with `ONE_SHARE` where all shares make the same drop.

    Args:
        values: By the names of the hyperparameters.
        space: The `keras_tuner.engine.hyperparameters.HyperParameter`s that were drawn from.
    """
    changed = dict(values)
    choices = {hp.name: hp.values for hp in space if hp.name.endswith("selectout/top_rate")}
    for hp in space:
        top_rate = hp.name.removesuffix("share") + "top_rate"
        if top_rate not in choices or hp.default != ONE_SHARE:
            continue
        if hp.name in values and values[top_rate] == min(choices[top_rate]):
            changed[hp.name] = ONE_SHARE
    return changed


def _as_rates(name: str, values: Any) -> tuple[float, ...]:
    """Returns rates as a rising tuple, or raises naming the argument."""
    if isinstance(values, (str, bytes)) or not isinstance(values, (Sequence, range)):
        raise TypeError(f"Argument `{name}` must be a list of numbers. Received: {name}={values!r}")
    for value in values:
        if isinstance(value, bool) or not isinstance(value, numbers.Real):
            raise TypeError(f"Argument `{name}` must hold numbers. Received: {name}={values!r}")
    rates = tuple(sorted({float(value) for value in values}))
    inside = all(0 <= rate <= 1 and (rate > 0 or name != "top_rates") for rate in rates)
    if not rates or not inside:
        interval = "(0, 1]" if name == "top_rates" else "[0, 1]"
        raise ValueError(
            f"Argument `{name}` must hold values in {interval}, at least one. "
            f"Received: {name}={values!r}"
        )
    if len(rates) < len(values):
        raise ValueError(
            f"Argument `{name}` must hold each value once. Received: {name}={values!r}"
        )
    return rates
