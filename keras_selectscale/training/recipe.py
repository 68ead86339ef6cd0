"""What makes a training run, as data."""

import dataclasses
import json
import math
import numbers
from typing import Any

from keras.optimizers import schedules

from keras_selectscale import data as datasets
from keras_selectscale import layers
from keras_selectscale.layers import methods
from keras_selectscale.layers.feature_drop import FeatureDrop
from keras_selectscale.optimizers import CoupledSGD
from keras_selectscale.training.speed import PRECISIONS

SCHEDULES = ("step", "cosine")
# Seeds, steps and sizes become 32-bit integers somewhere, numbers float32.
LARGEST_INTEGER = 2**31 - 1
LARGEST_NUMBER = 1e38
CURRICULA = ("none", "linear", "exponential")


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Everything that decides a training run. Two runs of one recipe are the same run.

    The defaults are the paper's for CIFAR (Section 3.1): 200 epochs at batch 128, learning rate
    0.1 times 0.2 at 30%, 60% and 80% of the epochs (60, 120 and 160), weight decay 5e-4; Nesterov
    momentum 0.9 is that of Zagoruyko & Komodakis, whom it follows.

    Attributes:
        network: Name for `models.build`.
        dataset: Name for `data.load`.
        drop: Name of a drop method, or `"none"`.
        top_rate: As the drop takes it; `None` becomes the method's default.
        retaining_rate: Likewise; the final one under a curriculum.
        score: Name of the score; `None` becomes `"max"` for a selecting method.
        curriculum: `"linear"` and `"exponential"` let the retaining rate fall from 1 to its value
            over the training (Section 3.4); `"none"` keeps it.
        group_factors: Pairs of a group and a factor: drops stand in these groups alone, with
            `1 - retaining_rate` times the factor (Section 3.5: `((3, 0.5), (4, 1.0))`). `None` is
            the drop as it is at every site.
        epochs: Passes over the training images.
        batch_size: Images a step.
        learning_rate: The initial one, positive.
        schedule: `"step"`, or `"cosine"`: one cycle, to 0.
        milestones: Where the step schedule multiplies, as shares of the epochs, rising.
        decay_factor: By how much it multiplies.
        momentum: Nesterov momentum, in [0, 1).
        weight_decay: λ, an L2 gradient inside the momentum.
        train_size: How many training images, a stratified subset; `None` for all.
        image_size: Edge to which images are brought; `None` for the dataset's own.
        precision: `"float32"` or `"mixed_bfloat16"`: activations of half the width.
        seed: Decides initial weights, subset, order, augmentation and drops.

    Raises:
        TypeError: Where a value is of the wrong type.
        ValueError: Where one is out of its range, or does not go with the drop.
    """

    network: str
    dataset: str
    drop: str = "none"
    top_rate: float | None = None
    retaining_rate: float | None = None
    score: str | None = None
    curriculum: str = "none"
    group_factors: tuple[tuple[int, float], ...] | None = None
    epochs: int = 200
    batch_size: int = 128
    learning_rate: float = 0.1
    schedule: str = "step"
    milestones: tuple[float, ...] = (0.3, 0.6, 0.8)
    decay_factor: float = 0.2
    momentum: float = 0.9
    weight_decay: float = 5e-4
    train_size: int | None = None
    image_size: int | None = None
    precision: str = "float32"
    seed: int = 0

    def __post_init__(self) -> None:
        """Checks every value that needs no data, and fills in the drop's own defaults."""
        for name, low in (("epochs", 1), ("batch_size", 1), ("seed", 0)):
            _check_integer(name, getattr(self, name), low)
        for name in ("train_size", "image_size"):
            if getattr(self, name) is not None:
                _check_integer(name, getattr(self, name), 1)
        if self.group_factors is not None:
            factors = tuple((group, float(factor)) for group, factor in self.group_factors)
            object.__setattr__(self, "group_factors", factors)
        _check_number("learning_rate", self.learning_rate, 0, math.inf, exclusive=True)
        _check_number("decay_factor", self.decay_factor, 0, 1, exclusive=True)
        _check_number("momentum", self.momentum, 0, 1)
        _check_number("weight_decay", self.weight_decay, 0, math.inf)
        datasets.check_name(self.dataset)
        _check_choice("schedule", self.schedule, SCHEDULES)
        _check_choice("curriculum", self.curriculum, CURRICULA)
        _check_choice("precision", self.precision, PRECISIONS)
        object.__setattr__(self, "milestones", tuple(self.milestones))
        if any(not 0 < m < 1 for m in self.milestones) or list(self.milestones) != sorted(
            set(self.milestones)
        ):
            raise ValueError(
                "Argument `milestones` must be rising shares of the epochs in (0, 1). "
                f"Received: milestones={self.milestones!r}"
            )
        if self.curriculum != "none" and self.drop == "none":
            raise ValueError(
                "Argument `curriculum` goes with a drop. "
                f"Received: curriculum={self.curriculum!r} with drop='none'"
            )
        if self.group_factors is not None and self.drop == "none":
            raise ValueError(
                "Argument `group_factors` goes with a drop. "
                f"Received: group_factors={self.group_factors!r} with drop='none'"
            )
        layer = self.make_drop(total_steps=1)
        if layer is not None:
            method = methods.get_method(self.drop)
            for name, default in (
                ("retaining_rate", method.retaining_rate),
                ("top_rate", method.top_rate),
                ("score", "max" if method.top_rate else None),
            ):
                value = getattr(self, name)
                object.__setattr__(self, name, default if value is None else value)

    def make_drop(self, total_steps: int) -> FeatureDrop | None:
        """Returns the drop as a template for a builder.

        Args:
            total_steps: Steps of the whole training, over which a curriculum runs.
        """
        rate: Any = self.retaining_rate
        if self.curriculum != "none":
            if rate is None:
                rate = methods.get_method(self.drop).retaining_rate
            helper = getattr(layers, f"{self.curriculum}_curriculum")
            rate = helper(rate, total_steps)
        return methods.make_drop(
            self.drop,
            top_rate=self.top_rate,
            retaining_rate=rate,
            score=self.score,
            seed=None if self.drop == "none" else self.seed,
        )

    def make_optimizer(self, steps_per_epoch: int) -> CoupledSGD:
        """Returns the optimizer with the learning rate's schedule over its steps."""
        total = self.epochs * steps_per_epoch
        if self.schedule == "cosine":
            rate = schedules.CosineDecay(self.learning_rate, total)
        else:
            # A boundary is the last step at the old rate.
            boundaries = [round(m * total) - 1 for m in self.milestones]
            # Keras' schedule wants at least one.
            boundaries = boundaries or [total]
            values = [self.learning_rate * self.decay_factor**i for i in range(len(boundaries) + 1)]
            rate = schedules.PiecewiseConstantDecay(boundaries, values)
        return CoupledSGD(rate, momentum=self.momentum, nesterov=True, l2=self.weight_decay)

    def as_json(self) -> dict[str, Any]:
        """Returns the recipe as it stands in a file."""
        return json.loads(json.dumps(dataclasses.asdict(self)))

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Recipe":
        """Makes the recipe again from `as_json()`.

        Raises:
            ValueError: Where a value is missing, unknown or bad.
        """
        names = {field.name for field in dataclasses.fields(cls)}
        if not isinstance(values, dict) or set(values) != names:
            raise ValueError(f"a recipe of {sorted(names)} was expected, {values!r} came")
        return cls(**values)


def _check_integer(name: str, value: Any, low: int) -> None:
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"Argument `{name}` must be an integer. Received: {name}={value!r}")
    if not low <= int(value) <= LARGEST_INTEGER:
        raise ValueError(
            f"Argument `{name}` must be at least {low} and at most {LARGEST_INTEGER}. "
            f"Received: {name}={value!r}"
        )


def _check_number(name: str, given: Any, low: float, high: float, exclusive: bool = False) -> None:
    if isinstance(given, bool) or not isinstance(given, numbers.Real):
        raise TypeError(f"Argument `{name}` must be a number. Received: {name}={given!r}")
    try:
        value = float(given)
    except OverflowError:
        value = math.inf
    if abs(value) > LARGEST_NUMBER:  # It would be infinite in float32, in which the weights are.
        value = math.inf
    if not math.isfinite(value) or value < low or value > high or (exclusive and value == low):
        raise ValueError(
            f"Argument `{name}` must be {'above' if exclusive else 'at least'} {low:g}"
            f"{'' if high == math.inf else f' and at most {high:g}'} and finite. "
            f"Received: {name}={given!r}"
        )


def _check_choice(name: str, value: Any, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(
            f"Argument `{name}` must be one of {list(choices)}. Received: {name}={value!r}"
        )
