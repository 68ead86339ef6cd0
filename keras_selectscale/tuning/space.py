"""The space of drops from which a search draws."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from keras_selectscale.checks import as_number, shown, type_error, value_error
from keras_selectscale.layers.feature_drop import FeatureDrop
from keras_selectscale.layers.methods import METHODS, get_method, make_drop
from keras_selectscale.object_checks import as_choices, as_sequence
from keras_selectscale.recipes import figure4

DEFAULT_METHODS = ("selectscale", "selectout")
# A method may draw a share of the range that its top rate allows. With the lowest top rate, all
# shares may make the same drop, and this share represents them. It is then the default of the
# hyperparameter, which tells an oracle so. A condition on the top rate would not work, because a
# worker receives it rounded to 32 bits, which equals no value.
ONE_SHARE = 1.0
FIGURE4_METHOD = figure4.METHOD
FIGURE4_RETAINING_RATE = figure4.RETAINING_RATE
FIGURE4_TOP_RATE = figure4.TOP_RATE


@dataclasses.dataclass(frozen=True)
class RateSpace:
    """The drops of a search: methods, and for each the rates that can be drawn.

    The search space of a method is registered with it (see `layers.methods`). Rates are drawn from
    lists of values. Selectout is drawn by its top rate t and a share u instead, because 1 - p <= t
    must hold:

        p = highest - u * (highest - max(lowest, 1 - t)),   u in (0, 1]

    With the default range of p, 0.5 to 1, that is p = 1 - u * min(t, 0.5). An infeasible pair is
    therefore never drawn, and the range of no hyperparameter depends on another one. If 1 - t is
    already the highest p, all shares make the same drop, and the oracles of `DropTuner` try only
    one.

    Attributes:
        methods: Names of drop methods, as `keras-selectscale list drops` prints them.
        top_rates: Values in (0, 1] for the selecting methods; `None` for the defaults of each.
        retaining_rates: Values in [0, 1]. Methods that divide by the rate ignore 0, and Selectout
            uses the lowest and the highest value as bounds. `None` for the defaults of each method.

    Raises:
        TypeError: If a rate is not a number.
        ValueError: If a method is unknown, a rate is out of range or occurs twice, or a method has
            nothing feasible to draw.
    """

    methods: Sequence[str] = DEFAULT_METHODS
    top_rates: Sequence[float] | None = None
    retaining_rates: Sequence[float] | None = None

    def __post_init__(self) -> None:
        """Checks every value, and that each method has something to draw."""
        methods = (self.methods,) if isinstance(self.methods, str) else self.methods
        object.__setattr__(self, "methods", as_choices("methods", methods, METHODS))
        for name in ("top_rates", "retaining_rates"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, _as_rates(name, getattr(self, name)))
        for method in self.methods:
            if not all(self.choices(method).values()):
                raise ValueError(
                    "Arguments `top_rates` and `retaining_rates` leave nothing feasible for the "
                    f"method {method!r}: {get_method(method).space.infeasible()}. Received: "
                    f"top_rates={shown(self.top_rates)}, "
                    f"retaining_rates={shown(self.retaining_rates)}"
                )

    def choices(self, method: str) -> dict[str, tuple[float, ...]]:
        """Returns the values of each hyperparameter of a method, by its name within the method."""
        return get_method(method).choices(self._given())

    def draw(self, hp: Any) -> dict[str, Any]:
        """Draws a method and its rates.

        Args:
            hp: A `keras_tuner.HyperParameters`.

        Returns:
            `drop`, `top_rate` and `retaining_rate`, as a `Recipe` takes them.
        """
        values = {"drop": hp.Choice("drop", list(self.methods))}
        for method in self.methods:
            default = ONE_SHARE if self._repeats_shares(method) else None
            # The hyperparameters of one method are inactive while another one is drawn.
            with hp.conditional_scope("drop", [method]):
                for name, choices in self.choices(method).items():
                    full = f"{method}/{name}"
                    values[full] = hp.Choice(
                        full, list(choices), default=default if name == "share" else None
                    )
        return self.rates(values)

    def rates(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Returns `drop`, `top_rate` and `retaining_rate` of a trial's hyperparameter values."""
        method = values["drop"]
        drawn = {}
        for name, choices in self.choices(method).items():
            # Takes the nearest value, because a number may lose digits on its way between
            # processes.
            drawn[name] = min(choices, key=lambda choice: abs(choice - values[f"{method}/{name}"]))
        arguments = get_method(method).arguments(drawn, self._given()) if drawn else {}
        return {"drop": method, "top_rate": None, "retaining_rate": None} | arguments

    def size(self) -> int:
        """Returns how many different drops there are."""
        points = 0
        for method in self.methods:
            choices = self.choices(method)
            points += math.prod(map(len, choices.values()))
            if self._repeats_shares(method):
                points -= len(choices["share"]) - 1
        return points

    def _given(self) -> dict[str, Sequence[float]]:
        given = {"top_rate": self.top_rates, "retaining_rate": self.retaining_rates}
        return {name: values for name, values in given.items() if values is not None}

    def _repeats_shares(self, method: str) -> bool:
        """Returns whether all shares of the lowest top rate make the same drop."""
        choices = self.choices(method)
        if len(choices.get("share", ())) < 2:
            return False
        lowest = {"drop": method, f"{method}/top_rate": min(choices["top_rate"])}
        drops = [self.rates({**lowest, f"{method}/share": share}) for share in choices["share"]]
        return all(drop == drops[0] for drop in drops)


def with_one_share(values: Mapping[str, Any], space: Sequence[Any]) -> dict[str, Any]:
    """Returns a trial's values, with `ONE_SHARE` if all shares make the same drop.

    Args:
        values: Values by the names of the hyperparameters.
        space: The `keras_tuner.engine.hyperparameters.HyperParameter`s that were drawn from.
    """
    changed = dict(values)
    choices = {hp.name: hp.values for hp in space if hp.name.endswith("/top_rate")}
    for hp in space:
        top_rate = hp.name.removesuffix("share") + "top_rate"
        if not hp.name.endswith("/share") or top_rate not in choices or hp.default != ONE_SHARE:
            continue
        if hp.name in values and values[top_rate] == min(choices[top_rate]):
            changed[hp.name] = ONE_SHARE
    return changed


def on_figure4(values: Mapping[str, Any]) -> bool:
    """Returns whether a point lies on one of the two curves of Figure 4, or has no drop."""
    if values["drop"] != FIGURE4_METHOD:
        return values["drop"] == "none"
    return (
        values[f"{FIGURE4_METHOD}/top_rate"] == FIGURE4_TOP_RATE
        or values[f"{FIGURE4_METHOD}/retaining_rate"] == FIGURE4_RETAINING_RATE
    )


def check_on_figure4(space: RateSpace) -> None:
    """Checks that nothing of a space lies off the curves of Figure 4.

    Raises:
        ValueError: If a method, or a rate that was given, can be on neither curve.
    """
    tops, rates = space.top_rates, space.retaining_rates
    off: dict[str, list[Any]] = {
        "methods": [each for each in space.methods if each not in (FIGURE4_METHOD, "none")]
    }
    if rates is not None and FIGURE4_RETAINING_RATE not in rates:
        off["top_rates"] = [top for top in tops or () if top != FIGURE4_TOP_RATE]
    if tops is not None and FIGURE4_TOP_RATE not in tops:
        off["retaining_rates"] = [rate for rate in rates or () if rate != FIGURE4_RETAINING_RATE]
    for name, values in off.items():
        if values:
            expected = (
                f"on the curves of `figure4`, which are {FIGURE4_METHOD} at the retaining rate "
                f"{FIGURE4_RETAINING_RATE:g} and at the top rate {FIGURE4_TOP_RATE:g}, without "
                f"{', '.join(map(str, values))}"
            )
            raise value_error(name, expected, getattr(space, name))


def drop_space(
    hp: Any,
    methods: Sequence[str] = DEFAULT_METHODS,
    *,
    top_rates: Sequence[float] | None = None,
    retaining_rates: Sequence[float] | None = None,
    **kwargs: Any,
) -> FeatureDrop | None:
    """Returns a drop layer drawn from a search space: its method and its rates.

    Call it in the `build` of a `keras_tuner.HyperModel`. It draws these hyperparameters:

    - `drop`: the method;
    - `<method>/top_rate` and `<method>/retaining_rate`, if the method has them;
    - `selectout/share` in place of `selectout/retaining_rate`: see `RateSpace`.

    These names will not change, so that a later version can continue a search. The hyperparameters
    of a method are active only if it is drawn. A second call returns the same drop; to draw another
    one, call the function within `with hp.name_scope("late"):`.

    Args:
        hp: The `keras_tuner.HyperParameters` that `build` receives.
        methods: Names of drop methods, as `keras-selectscale list drops` prints them.
        top_rates: Values in (0, 1] to draw from; `None` for 0.1, 0.2, … 1.
        retaining_rates: Values in [0, 1] to draw from; Selectout uses the lowest and the highest as
            bounds. `None` for the defaults of each method: 0, 0.1, … 0.9 (SelectScale and
            SpatialScale), 0.5, 0.6, … 0.9 (standard and SpatialDropout), from 0.5 to below 1
            (Selectout).
        **kwargs: Further arguments of the layer, such as `seed` or `name`.

    Returns:
        A new drop layer, or `None` if `"none"` is drawn.

    Raises:
        TypeError: If `hp` is something else, or a rate is not a number.
        ValueError: If a method is unknown, a rate is out of range, or a method has nothing feasible
            to draw.

    Example:

    ```python
    class Small(keras_tuner.HyperModel):
        def build(self, hp):
            drop = tuning.drop_space(hp, methods=("selectscale", "none"))
            inputs = keras.Input((8, 8, 1))
            x = keras.layers.Conv2D(16, 3, activation="relu")(inputs)
            x = x if drop is None else drop(x)
            x = keras.layers.GlobalAveragePooling2D()(x)
            model = keras.Model(inputs, keras.layers.Dense(10, activation="softmax")(x))
            model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
            return model
    ```
    """
    if not hasattr(hp, "Choice") or not hasattr(hp, "conditional_scope"):
        raise type_error("hp", "a `keras_tuner.HyperParameters`", hp)
    rates = RateSpace(methods, top_rates, retaining_rates).draw(hp)
    return make_drop(**rates, **({} if rates["drop"] == "none" else kwargs))


def _as_rates(name: str, values: Any) -> tuple[float, ...]:
    """Returns rates as an ascending tuple."""
    rates = [
        as_number(name, value, 0.0, 1.0, above=name == "top_rates")
        for value in as_sequence(name, values)
    ]
    if not rates:
        interval = "(0, 1]" if name == "top_rates" else "[0, 1]"
        raise value_error(name, f"one or more values in {interval}", values)
    if len(set(rates)) < len(rates):
        raise value_error(name, "a list that holds each value once", values)
    return tuple(sorted(rates))
