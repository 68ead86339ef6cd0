"""The settings of a search, and the function that runs it."""

import dataclasses
import functools
import json
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from keras_selectscale import data as datasets
from keras_selectscale import models
from keras_selectscale.argument_names import named_arguments, named_attributes
from keras_selectscale.checks import (
    as_choice,
    as_integer,
    as_number,
    shown,
    type_error,
    value_error,
)
from keras_selectscale.data import Dataset
from keras_selectscale.files import convert
from keras_selectscale.object_checks import as_boolean, as_instance
from keras_selectscale.training import Recipe
from keras_selectscale.tuning.drop_hyper_model import DropHyperModel, as_tune
from keras_selectscale.tuning.drop_tuner import WAIT_SECONDS, DropTuner
from keras_selectscale.tuning.oracles import TUNERS
from keras_selectscale.tuning.space import (
    DEFAULT_METHODS,
    FIGURE4_METHOD,
    FIGURE4_RETAINING_RATE,
    FIGURE4_TOP_RATE,
    RateSpace,
    check_on_figure4,
    on_figure4,
)
from keras_selectscale.tuning.tuner_checks import check_prune_margin

if TYPE_CHECKING:
    from keras_selectscale.tuning.search_folder import SearchFolder

MOST_SEEDS = 1000
MOST_TRIALS = 100_000
DEFAULT_TRIALS = 30


@named_attributes
@dataclasses.dataclass(frozen=True)
class Search:
    """A search for the drop of a network, on a part of its training images.

    Attributes:
        recipe: Settings that all trials share. Their drop, the fields in `tune` and the seed
            differ. The recipe's own seed determines the subset of the training images and the
            held-out part of it.
        tuner: `"random"`, `"bayesian"`, `"hyperband"` or `"grid"`.
        methods: As `drop_space` takes them. By default SelectScale, Selectout and no drop, or,
            for Figure 4, SelectScale and no drop.
        top_rates: As `drop_space` takes them.
        retaining_rates: As `drop_space` takes them.
        tune: As `DropHyperModel` takes it.
        trials: Maximum number of trials. `None` means all points of a grid, one sweep of Hyperband,
            or 30 trials of another tuner.
        seeds: Runs of each trial.
        validation_share: Share of the training images that is held out for scoring, in (0, 1).
        early_stopping: Epochs without a lower validation error after which a run ends, or `None`.
        figure4: Whether to restrict a grid to the two curves of the paper's Figure 4, and to no
            drop if that is among the methods.
        prune_margin: As `DropTuner` takes it, in points of the validation error.
        seed: Determines the random points, at least 1.
        jit: Whether to compile the training steps; `None` for the fastest choice.

    Raises:
        TypeError: If a value has the wrong type.
        ValueError: If a value is out of range or occurs twice in a list, a method has nothing
            feasible to draw, or no point lies on the curves of Figure 4.
    """

    recipe: Recipe
    tuner: str = "random"
    methods: Sequence[str] = None  # type: ignore[assignment]  # Replaced by the default.
    top_rates: Sequence[float] | None = None
    retaining_rates: Sequence[float] | None = None
    tune: Mapping[str, Sequence[Any]] = dataclasses.field(default_factory=dict)
    trials: int | None = None
    seeds: int = 1
    validation_share: float = 0.2
    early_stopping: int | None = None
    figure4: bool = False
    prune_margin: float | None = None
    seed: int = 1
    jit: bool | None = None

    def __post_init__(self) -> None:
        """Checks every value that needs no data."""
        as_instance("recipe", self.recipe, Recipe, "a Recipe")
        as_choice("tuner", self.tuner, TUNERS)
        as_boolean("figure4", self.figure4)
        for name, most in (
            ("trials", MOST_TRIALS),
            ("seeds", MOST_SEEDS),
            ("early_stopping", 10**6),
            ("seed", 2**31 - 1),
        ):
            value = getattr(self, name)
            if value is not None or name not in ("trials", "early_stopping"):
                object.__setattr__(self, name, as_integer(name, value, 1, most))
        margin = check_prune_margin(self.prune_margin, self.tuner, self.seeds)
        object.__setattr__(self, "prune_margin", margin)
        share = as_number("validation_share", self.validation_share)
        if not 0 < share < 1:
            raise value_error("validation_share", "in (0, 1)", self.validation_share)
        object.__setattr__(self, "validation_share", share)
        if self.methods is None:
            default = (FIGURE4_METHOD,) if self.figure4 else DEFAULT_METHODS
            object.__setattr__(self, "methods", (*default, "none"))
        space = self.space
        for name in ("methods", "top_rates", "retaining_rates"):
            object.__setattr__(self, name, getattr(space, name))
        if self.figure4 and (self.tuner != "grid" or FIGURE4_METHOD not in self.methods):
            raise ValueError(
                f"Argument `figure4` goes with the tuner 'grid' and the method {FIGURE4_METHOD!r}. "
                f"Received: figure4=True with tuner={self.tuner!r}, methods={shown(self.methods)}"
            )
        if self.recipe.drop != "none":
            raise ValueError(
                "Argument `recipe` must have no drop, because the drop is searched. "
                f"Received: drop={self.recipe.drop!r}"
            )
        if self.trials is None and self.tuner in ("random", "bayesian"):
            object.__setattr__(self, "trials", DEFAULT_TRIALS)
        object.__setattr__(self, "tune", as_tune(self.tune))
        self.hypermodel(None)
        for field, values in self.tune.items():
            # With equal values, a grid would skip the points between them.
            if len(set(values)) < len(values):
                raise value_error(field, "a list that holds each value once", values)
        if self.figure4 and not self.grid_size():
            raise ValueError(
                f"Argument `top_rates` must hold {FIGURE4_TOP_RATE}, or `retaining_rates` "
                f"{FIGURE4_RETAINING_RATE}, with `figure4`: nothing else lies on its two curves. "
                f"Received: figure4=True with top_rates={shown(self.top_rates)}, "
                f"retaining_rates={shown(self.retaining_rates)}"
            )

    def check_used(self) -> None:
        """Checks that every given value can be drawn, for a search that has not begun.

        Raises:
            ValueError: If `figure4` leaves out a method, or a rate that was given.
        """
        if self.figure4:
            check_on_figure4(self.space)

    def as_begun(self, began: "Search") -> "Search":
        """Returns the search with what a folder keeps as it began: the recipe's normalization."""
        return dataclasses.replace(self, recipe=self.recipe.as_begun(began.recipe))

    @property
    def space(self) -> RateSpace:
        """The space from which drops are drawn."""
        return RateSpace(self.methods, self.top_rates, self.retaining_rates)

    def hypermodel(self, images: Dataset | None) -> DropHyperModel:
        """Returns the search space over the recipe's network, for images of this shape."""
        shape = {} if images is None else {"input_shape": images.input_shape}
        classes = {} if images is None else {"classes": images.classes}
        builder = functools.partial(
            models.build, self.recipe.network, data_format="channels_last", **shape, **classes
        )
        return DropHyperModel(
            builder,
            self.methods,
            self.recipe,
            top_rates=self.top_rates,
            retaining_rates=self.retaining_rates,
            tune=self.tune,
            jit=self.jit,
        )

    def trial_recipe(self, values: Mapping[str, Any]) -> Recipe:
        """Returns the recipe of a trial's hyperparameter values."""
        return self.hypermodel(None).recipe(values)

    def grid_size(self) -> int:
        """Returns the number of different points of the grid."""
        further = math.prod(len(values) for values in self.tune.values())
        if not self.figure4:
            return self.space.size() * further
        choices = self.space.choices(FIGURE4_METHOD)
        points = (
            {
                "drop": FIGURE4_METHOD,
                f"{FIGURE4_METHOD}/top_rate": t,
                f"{FIGURE4_METHOD}/retaining_rate": q,
            }
            for t in choices["top_rate"]
            for q in choices["retaining_rate"]
        )
        plain = "none" in self.methods
        return (sum(on_figure4(point) for point in points) + plain) * further

    def total(self) -> int | None:
        """Returns the maximum number of trials, or `None` if Hyperband determines it."""
        if self.tuner != "grid":
            return self.trials
        return min(self.grid_size(), self.trials or MOST_TRIALS)

    def as_json(self) -> dict[str, Any]:
        """Returns the search as `search.json` holds it."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return json.loads(json.dumps({**fields, "recipe": self.recipe.as_json()}))

    @classmethod
    def from_json(
        cls, values: Any, path: pathlib.Path = pathlib.Path("search"), field: str = ""
    ) -> "Search":
        """Restores a search from `as_json()`. Fields that are missing have their defaults.

        The arguments are those of `Recipe.from_json`.

        Raises:
            DamagedFileError: If a value is bad, a required field is missing, or a field is unknown.
        """
        if isinstance(values, dict) and "recipe" in values:
            name = f"{field}.recipe" if field else "recipe"
            recipe = Recipe.from_json(values["recipe"], path, name)
            values = {**values, "recipe": recipe.as_json()}
        return convert(values, cls, path, field)


def load_for_search(search: Search, data_dir: str | None = None) -> Dataset:
    """Returns the training images of a search, split into training and scoring images.

    The test images of the dataset are not included.

    Raises:
        FileNotFoundError: If the dataset is missing.
        ValueError: If the dataset has too few images to hold some out.
    """
    whole = load_for_winner(search, data_dir)
    return datasets.validation_split(whole, share=search.validation_share, seed=search.recipe.seed)


def load_for_winner(search: Search, data_dir: str | None = None) -> Dataset:
    """Returns all training images, and the test images of the dataset."""
    recipe = as_instance("search", search, Search, "a Search").recipe
    return datasets.load(
        recipe.dataset,
        data_dir=data_dir,
        train_size=recipe.train_size,
        seed=recipe.seed,
        image_size=recipe.image_size,
    )


@named_arguments
def run_search(
    search: Search,
    folder: "SearchFolder",
    images: Dataset,
    *,
    listener: Any = None,
    wait_seconds: float = WAIT_SECONDS,
) -> None:
    """Runs the remaining trials, alone or in the role of chief or worker that the environment sets.

    Args:
        search: The search.
        folder: Folder of the search, already opened.
        images: As `load_for_search` returns them.
        listener: As `DropTuner` takes it.
        wait_seconds: How long a chief and its workers wait for each other.

    Raises:
        TimeoutError: If the chief or a worker waited longer.
    """
    as_instance("search", search, Search, "a Search")
    if not hasattr(folder, "read_search"):
        raise type_error("folder", "a SearchFolder", folder)
    as_instance("images", images, Dataset, "a dataset as `load_for_search` returns it")
    if folder.config_path.exists():
        search = search.as_begun(folder.read_search())
    tuner = DropTuner(
        search.hypermodel(images),
        search.tuner,
        folder.path,
        trials=search.trials,
        seeds=search.seeds,
        max_epochs=search.recipe.epochs,
        early_stopping=search.early_stopping,
        figure4=search.figure4,
        prune_margin=search.prune_margin,
        seed=search.seed,
        wait_seconds=wait_seconds,
        listener=listener,
    )
    tuner.search(images)
