"""The error of a trained network with drops at test time, the numbers of the paper's Figure 3."""

import contextlib
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from keras.optimizers.schedules import PiecewiseConstantDecay

from keras_selectscale import stopping
from keras_selectscale.checks import as_choice, as_integer, as_number, value_error
from keras_selectscale.experiments.error_table import Point, Settings
from keras_selectscale.experiments.trained_network import (
    EvaluationImages,
    TrainedNetwork,
    error_percent,
)
from keras_selectscale.layers import Selectout, bernoulli, selection
from keras_selectscale.layers.feature_drop import FeatureDrop
from keras_selectscale.layers.methods import METHODS as ALL_METHODS
from keras_selectscale.layers.selectout import dropped_count
from keras_selectscale.object_checks import as_sequence
from keras_selectscale.surgery import drop_kinds, drops_active, insert_drops

RATES = (0.98, 0.96, 0.94, 0.92, 0.9, 0.8, 0.7, 0.6, 0.4, 0.2, 0.0)
TOP_RATE = 0.2
MOST_DRAWS = 1000
TOLERANCE = 1e-6  # 1 - 0.9 is not 0.1 in floating point.
METHODS = ("dropout", "spatial-dropout", "spatial-scale", "selectout", "selectscale")


class TopSelectout(Selectout):
    """Selectout with the top rate 1 - p: it drops the most important maps themselves.

    The rate may be a tensor, with which the number of dropped maps changes. Nothing is random.
    """

    def draw_factor(self, inputs: Any, retaining_rate: Any) -> Any:
        """Returns 0 for the maps with the top 1 - p scores, and 1 / p for the others."""
        axis = self.channel_axis(inputs)
        scores = selection.at_least_float32(self._score_function(inputs, axis))
        dropped = selection.top_k_mask(scores, dropped_count(retaining_rate, inputs.shape[axis]))
        kept = bernoulli.inverse(retaining_rate, self.dtype_of(inputs))
        return self.per_map(inputs, kept * ops.cast(ops.logical_not(dropped), kept.dtype))


@dataclasses.dataclass(frozen=True)
class Curve:
    """A curve of the figure.

    Attributes:
        method: Name of the method.
        label: Its name in the picture.
        top_rate: Its top rate, 1 for 1 - p; `None` if it does not select.
        make: Function from a retaining rate to the layer.
        draws: Whether the layer is random.
    """

    method: str
    label: str
    top_rate: float | None
    make: Callable[[Any], FeatureDrop]
    is_random: bool = True

    def top_rate_at(self, rate: float) -> float | None:
        """Returns the top rate at a retaining rate."""
        return self.top_rate if self.is_random else round(1 - rate, 9)

    def allows(self, rate: float) -> bool:
        """Returns whether the method is defined at a retaining rate."""
        method = ALL_METHODS[self.method]
        if method.divides and rate == 0:
            return False
        lowest = 0.0
        if self.top_rate is not None and self.is_random:
            lowest = method.space.lowest_retaining_rate(self.top_rate)
        return rate >= lowest - TOLERANCE


def curves(
    methods: Sequence[str] = METHODS,
    top_rate: float = TOP_RATE,
    selectout_top_rate: float | None = None,
) -> list[Curve]:
    """Returns the curves of some methods.

    Args:
        methods: Names of methods.
        top_rate: Top rate of the selecting methods.
        selectout_top_rate: Top rate of Selectout; `None` for 1 - p, with which it drops the most
            important maps themselves. The paper does not state it; with 1 - p, the error at p =
            0.94 is that of the paper's Figure 3.
    """
    top_rate = as_number("top_rate", top_rate, 0, 1, above=True)
    found = []
    methods_by_name = {name: each for name, each in ALL_METHODS.items() if each.layer is not None}
    for name in as_sequence("methods", methods):
        method = methods_by_name[as_choice("methods", name, methods_by_name)]
        if method.layer is Selectout and selectout_top_rate is None:
            label = f"{method.title}, top 1 − retaining rate"

            def make_top(rate: Any) -> FeatureDrop:
                return TopSelectout(top_rate=1.0, retaining_rate=rate, seed=0)

            found.append(Curve(name, label, 1.0, make_top, is_random=False))
            continue
        arguments = dict(method.defaults)
        label, top = method.title, None
        if method.takes("top_rate"):
            chosen = selectout_top_rate if method.layer is Selectout else top_rate
            top = as_number("selectout_top_rate", chosen, 0, 1, above=True)
            arguments["top_rate"] = top
            label = f"{label}, top {top:g}"

        def make(rate: Any, method: Any = method, arguments: Any = arguments) -> FeatureDrop:
            return method.layer(**{**arguments, "retaining_rate": rate, "seed": 0})

        found.append(Curve(name, label, top, make))
    return found


def as_rates(value: Any) -> tuple[float, ...]:
    """Returns different retaining rates in [0, 1], the highest first."""
    numbers = {as_number("rates", rate, 0, 1) for rate in as_sequence("rates", value)}
    if not numbers:
        raise value_error("rates", "one or more numbers", value)
    return tuple(sorted(numbers, reverse=True))


def as_draws(draws: Any, seed: Any) -> tuple[int, int]:
    """Returns a number of draws, at least 1, and a seed, at least 0."""
    return as_integer("draws", draws, 1, MOST_DRAWS), as_integer("seed", seed, 0)


class DroppedNetwork:
    """A network with a drop at every site, whose rate can change without another compilation.

    The rate is a table over the layers' count of training steps, which is a variable; with active
    drops the count does not advance by itself.

    Args:
        network: The trained network.
        curve: What to insert.
        grid: All retaining rates.
    """

    def __init__(self, network: TrainedNetwork, curve: Curve, grid: Sequence[float]):
        self.grid = [rate for rate in grid if curve.allows(rate)]
        table = [*self.grid, self.grid[-1]]
        schedule = PiecewiseConstantDecay(list(range(len(self.grid))), table)
        self.model = insert_drops(network.model, curve.make(schedule))
        drops = drop_kinds.find_drops(self.model, "selectscale")
        self.drops = [drop for drop in drops if isinstance(drop, FeatureDrop)]

    def choose(self, rate: float, seed: int, draw: int) -> None:
        """Sets the rate and the random states of all drops."""
        children = np.random.SeedSequence([seed, draw]).spawn(len(self.drops))
        for drop, child in zip(self.drops, children, strict=True):
            drop.training_calls.assign(self.grid.index(rate))
            state = drop.seed_generator.state
            first = int(child.generate_state(1)[0] >> 1)
            state.assign(np.array([first, 0], keras.backend.standardize_dtype(state.dtype)))


def measure(
    network: TrainedNetwork,
    images: EvaluationImages,
    *,
    settings: Settings,
    chosen: Sequence[Curve],
    grid: Sequence[float],
    draws: int,
    done: Sequence[Point] = (),
    on_point: Callable[[list[Point]], None] = lambda points: None,
    on_batch: Callable[[], None] = lambda: None,
) -> list[Point]:
    """Measures the test error of each curve at each rate, one draw of all curves after the other.

    The network is compiled once for each curve. A draw depends on the seed and its number only.

    Args:
        network: The trained network.
        images: Its test images.
        settings: What the points are computed with; the seed is read from here.
        chosen: The curves.
        grid: Retaining rates, the highest first.
        draws: Number of draws, at least 1.
        done: Points that exist, which are not computed again.
        on_point: Called with all points after each new one.
        on_batch: Called after each batch.

    Returns:
        All points.
    """
    points = list(done)
    known = {point.key for point in points}

    def add(where: Point, model: keras.Model) -> None:
        if where.key in known:
            return
        error = error_percent(model.predict_on_batch, images, _checked(on_batch))
        points.append(dataclasses.replace(where, error=error))
        on_point(points)

    add(Point("none", None, 1.0, 0, 0.0), network.model)
    made: dict[str, DroppedNetwork] = {}
    with contextlib.ExitStack() as active:
        for draw, curve, rate in planned(chosen, grid, draws):
            where = Point(curve.method, curve.top_rate_at(rate), rate, draw, 0.0)
            if where.key in known:
                continue
            if curve.method not in made:
                made[curve.method] = DroppedNetwork(network, curve, grid)
                active.enter_context(drops_active(made[curve.method].model, which="selectscale"))
            made[curve.method].choose(rate, settings.seed, draw)
            add(where, made[curve.method].model)
    return points


def planned(
    chosen: Sequence[Curve], grid: Sequence[float], draws: int
) -> list[tuple[int, Curve, float]]:
    """Returns the draw, curve and rate of each point; rate 1 is the network without a drop."""
    return [
        (draw, curve, rate)
        for draw in range(draws)
        for curve in chosen
        for rate in grid
        if rate < 1 and curve.allows(rate) and (curve.is_random or draw == 0)
    ]


def _checked(on_batch: Callable[[], None]) -> Callable[[], None]:
    def between() -> None:
        on_batch()
        stopping.check()

    return between
