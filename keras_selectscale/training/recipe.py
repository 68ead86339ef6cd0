"""The recipe of a training run."""

import dataclasses
import json
import pathlib
import shlex
from typing import Any

import numpy as np
from keras.optimizers import schedules

from keras_selectscale import data as datasets
from keras_selectscale import layers
from keras_selectscale.argument_names import named_attributes
from keras_selectscale.checks import as_choice, as_integer, as_number, type_error, value_error
from keras_selectscale.files import convert
from keras_selectscale.layers import methods
from keras_selectscale.layers.feature_drop import FeatureDrop
from keras_selectscale.models.cifar_resnet import LAST_DROPS
from keras_selectscale.models.names import check_takes
from keras_selectscale.object_checks import as_sequence, as_string
from keras_selectscale.optimizers import CoupledSGD
from keras_selectscale.training.speed import PRECISIONS, said

SCHEDULES = ("step", "cosine")
NORMALIZATIONS = ("fused", "keras")
CURRICULA = ("none", "linear", "exponential")
# Some backends store seeds, steps and sizes as 32-bit integers, and numbers as float32.
LARGEST_INTEGER = 2**31 - 1
LARGEST_NUMBER = 1e38
# What a recipe without a drop has.
WITHOUT_DROP: dict[str, Any] = {
    "curriculum": "none",
    "group_factors": None,
    "last_drop": LAST_DROPS[0],
}
# Key in the metadata of a field: the value under which runs were made before the field existed, if
# that is not the default, which a new field needs.
FORMER = "former"


@named_attributes
@dataclasses.dataclass(frozen=True)
class Recipe:
    """Everything that determines a training run. Two runs of one recipe are the same run.

    The defaults are the paper's for CIFAR (Chen et al., IJCAI 2020, Section 3.1): 200 epochs,
    batches of 128, a learning rate of 0.1 that is multiplied by 0.2 after 30%, 60% and 80% of the
    epochs (60, 120 and 160), and a weight decay of 5e-4. The Nesterov momentum of 0.9 is that of
    Zagoruyko & Komodakis (2016), whom the paper follows.

    Attributes:
        network: Name of the network, as `models.build` takes it.
        dataset: Name of the dataset, as `data.load` takes it.
        drop: Name of a drop method, or `"none"`.
        top_rate: Argument of the drop; `None` for the method's default.
        retaining_rate: Argument of the drop; `None` for the method's default. With a curriculum,
            the final value.
        score: Name of a selecting drop's score; `None` for `"max"`.
        curriculum: `"linear"` and `"exponential"` lower the retaining rate from 1 to its value over
            the training (Section 3.4); `"none"` keeps it constant.
        group_factors: Pairs of a group of residual blocks and a factor in [0, 1]. The drop is used
            in these groups only, and `1 - retaining_rate` is multiplied by the factor (Section 3.5:
            `((3, 0.5), (4, 1.0))`). `None` uses the drop at every site.
        epochs: Passes over the training images, at least 1.
        batch_size: Images per step, at least 1.
        learning_rate: Initial learning rate, above 0.
        schedule: `"step"`, or `"cosine"` for one cycle to 0.
        milestones: When the step schedule multiplies the learning rate, as ascending shares of the
            epochs in (0, 1).
        decay_factor: Factor of the step schedule, in (0, 1].
        momentum: Nesterov momentum, in [0, 1].
        weight_decay: λ of an L2 gradient inside the momentum, at least 0.
        train_size: Number of training images, a stratified subset; `None` for all.
        image_size: Height and width to which images are resized; `None` for those of the dataset.
        precision: `"float32"`, or `"mixed_bfloat16"` for activations of half the width.
        seed: Determines the initial weights, the subset, the order, the augmentation and the drops.
        normalization: `"fused"` for the backend's kernel of batch normalization, if there is one
            (see `fuse_normalization`), or `"keras"` for the operations of Keras. They differ in
            roundings and time only. A run continues with the one with which it began, whatever a
            recipe says.
        last_drop: Where the drop of a block's second convolution stands, `"before_addition"` or
            `"after_addition"`; see `models.CifarResNet`.

    Raises:
        TypeError: If a value has the wrong type. NumPy numbers become Python numbers.
        ValueError: If a value is out of range or contradicts the drop.
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
    normalization: str = dataclasses.field(default="fused", metadata={FORMER: "keras"})
    last_drop: str = LAST_DROPS[0]

    def __post_init__(self) -> None:
        """Checks every value that needs no data, and fills in the drop's defaults."""
        if not as_string("network", self.network):
            raise value_error("network", "the name of a network", self.network)
        datasets.check_name(as_string("dataset", self.dataset))
        as_choice("drop", self.drop, methods.METHODS)
        as_choice("schedule", self.schedule, SCHEDULES)
        as_choice("curriculum", self.curriculum, CURRICULA)
        as_choice("precision", self.precision, PRECISIONS)
        as_choice("normalization", self.normalization, NORMALIZATIONS)
        as_choice("last_drop", self.last_drop, LAST_DROPS)
        for name, low in (("epochs", 1), ("batch_size", 1), ("seed", 0)):
            self._set(name, as_integer(name, getattr(self, name), low, LARGEST_INTEGER))
        for name in ("train_size", "image_size"):
            if (size := getattr(self, name)) is not None:
                self._set(name, as_integer(name, size, 1, LARGEST_INTEGER))
        self._set("learning_rate", _as_number("learning_rate", self.learning_rate, above=True))
        self._set("decay_factor", _as_number("decay_factor", self.decay_factor, 1, above=True))
        self._set("momentum", _as_number("momentum", self.momentum, 1))
        self._set("weight_decay", _as_number("weight_decay", self.weight_decay))
        self._set("milestones", _as_milestones(self.milestones))
        for name in ("top_rate", "retaining_rate"):
            if (rate := getattr(self, name)) is not None:
                self._set(name, _as_number(name, rate, 1))
        if self.score is not None:
            as_string("score", self.score)
        if self.group_factors is not None:
            self._set("group_factors", _as_group_factors(self.group_factors))
        if self.drop == "none":
            for name, absent in WITHOUT_DROP.items():
                if (value := getattr(self, name)) != absent:
                    raise value_error(name, f"{absent!r} with drop='none'", value)
        if self.last_drop != LAST_DROPS[0]:
            check_takes(self.network, "last_drop", self.last_drop)
        layer = self.make_drop(total_steps=1)
        if layer is not None:
            method = methods.get_method(self.drop)
            for name in ("top_rate", "retaining_rate", "score"):
                if getattr(self, name) is None and method.takes(name):
                    self._set(name, method.defaults.get(name, getattr(layer, name)))

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def make_drop(self, total_steps: int) -> FeatureDrop | None:
        """Returns the drop as a template for a builder, or `None` for no drop.

        Args:
            total_steps: Steps of the whole training, over which a curriculum runs.
        """
        rate: Any = self.retaining_rate
        if self.curriculum != "none":
            if rate is None:
                rate = methods.get_method(self.drop).retaining_rate
            rate = getattr(layers, f"{self.curriculum}_curriculum")(rate, total_steps)
        return methods.make_drop(
            self.drop,
            top_rate=self.top_rate,
            retaining_rate=rate,
            score=self.score,
            seed=None if self.drop == "none" else self.seed,
        )

    def make_optimizer(self, steps_per_epoch: int) -> CoupledSGD:
        """Returns the optimizer, with the learning rate's schedule in steps."""
        total = self.epochs * steps_per_epoch
        if self.schedule == "cosine":
            rate = schedules.CosineDecay(self.learning_rate, total)
        else:
            # A boundary is the last step at the old rate. Keras needs at least one.
            boundaries = [round(m * total) - 1 for m in self.milestones] or [total]
            values = [self.learning_rate * self.decay_factor**i for i in range(len(boundaries) + 1)]
            rate = schedules.PiecewiseConstantDecay(boundaries, values)
        return CoupledSGD(rate, momentum=self.momentum, nesterov=True, l2=self.weight_decay)

    def as_begun(self, began: "Recipe") -> "Recipe":
        """Returns the recipe with what a run keeps as it began: the normalization."""
        return dataclasses.replace(self, normalization=began.normalization)

    def as_json(self) -> dict[str, Any]:
        """Returns the recipe as it is written to a file."""
        return json.loads(json.dumps(dataclasses.asdict(self)))

    @classmethod
    def from_json(
        cls, values: Any, path: pathlib.Path = pathlib.Path("recipe"), field: str = ""
    ) -> "Recipe":
        """Returns a recipe from a file, which an earlier version may have written.

        A missing field gets the value under which that run was made.

        Args:
            values: What `as_json` returned.
            path: File from which the values come, for error messages.
            field: Path of the values within that file.

        Raises:
            DamagedFileError: If a value is bad, a required field is missing, or a field is unknown.
        """
        if isinstance(values, dict):
            values = cls.former_values() | values
        return convert(values, cls, path, field)

    @classmethod
    def former_values(cls) -> dict[str, Any]:
        """Returns the values under which runs were made before their fields existed."""
        return {
            each.name: each.metadata[FORMER]
            for each in dataclasses.fields(cls)
            if FORMER in each.metadata
        }


def _as_number(name: str, value: Any, high: float = LARGEST_NUMBER, above: bool = False) -> float:
    """Returns a number of at least 0 that a file can hold: no fraction, tensor or schedule."""
    if not isinstance(value, int | float | np.number):
        raise type_error(name, "a number", value)
    return as_number(name, value, 0, high, above=above)


def _as_milestones(values: Any) -> tuple[float, ...]:
    milestones = tuple(
        _as_number("milestones", each, 1) for each in as_sequence("milestones", values)
    )
    rising = list(milestones) == sorted(set(milestones))
    if not rising or not all(0 < each < 1 for each in milestones):
        raise value_error("milestones", "rising shares of the epochs in (0, 1)", values)
    return milestones


def _as_group_factors(values: Any) -> tuple[tuple[int, float], ...]:
    name, factors = "group_factors", []
    for pair in as_sequence(name, values):
        if len(as_sequence(name, pair)) != 2:
            raise value_error(name, "pairs of a group and a factor", values)
        group, factor = as_sequence(name, pair)
        factors.append((as_integer(name, group, 0, LARGEST_INTEGER), _as_number(name, factor, 1)))
    if not factors or len({group for group, _ in factors}) < len(factors):
        raise value_error(name, "one or more different groups with a factor each", values)
    return tuple(factors)


def training_command(
    recipe: Recipe, data_dir: str | None = None, jit: bool | None = None
) -> str | None:
    """Returns the command that trains a recipe in its own run, or `None` if none can."""
    plain = Recipe(network=recipe.network, dataset=recipe.dataset)
    fields = ("momentum", "milestones", "decay_factor", "group_factors", "last_drop")
    if any(getattr(recipe, field) != getattr(plain, field) for field in fields):
        return None
    options: dict[str, Any] = {
        "--network": recipe.network,
        "--dataset": recipe.dataset,
        "--data-dir": data_dir,
        "--train-size": recipe.train_size,
        "--image-size": recipe.image_size,
        "--drop": recipe.drop,
        "--top-rate": recipe.top_rate,
        "--retaining-rate": recipe.retaining_rate,
        "--epochs": recipe.epochs,
        "--batch-size": recipe.batch_size,
        "--learning-rate": recipe.learning_rate,
        "--schedule": recipe.schedule,
        "--weight-decay": recipe.weight_decay,
        "--seed": recipe.seed,
        "--precision": recipe.precision,
        "--jit": None if jit is None else said(jit),
        "--run": f"tuned-{recipe.network}-{recipe.drop}",
    }
    given = [[option, str(value)] for option, value in options.items() if value is not None]
    given += [["--no-fused-normalization"]] * (recipe.normalization == "keras")
    return shlex.join(["keras-selectscale", "train", *(part for each in given for part in each)])
