"""A search space over any network that takes a drop."""

import contextlib
import dataclasses
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import keras_tuner

from keras_selectscale import data as datasets
from keras_selectscale import models
from keras_selectscale.argument_names import named_attributes
from keras_selectscale.checks import shown, type_error, value_error
from keras_selectscale.data import Dataset
from keras_selectscale.layers.methods import get_method, make_drop
from keras_selectscale.models.dtype_policy import dtype_policy
from keras_selectscale.object_checks import as_instance, as_sequence
from keras_selectscale.training import CoupledSGD, Recipe, fuse_normalization
from keras_selectscale.training.speed import check_jit, decide_jit
from keras_selectscale.tuning.space import DEFAULT_METHODS, RateSpace
from keras_selectscale.tuning.trials.checkpoint import StoppedTrial
from keras_selectscale.tuning.trials.image_run import train_trial

# Fields of a recipe that a search may draw in addition to the drop.
TUNABLE = ("learning_rate", "weight_decay", "momentum", "batch_size", "schedule", "decay_factor")


@named_attributes
class DropHyperModel(keras_tuner.HyperModel):
    """The networks of one builder, with the drops of a search space.

    It works with any tuner of KerasTuner. `build` returns a compiled model. `fit` takes the
    arguments of `model.fit`, or images from `data.validation_split`. It trains on such images as
    the recipe specifies and returns `validation_error`, the error on the held-out images in
    percent, after the last epoch, or the best one if an `EarlyStopping` is among the callbacks.

    Args:
        build: Callable with an argument `drop=` that returns a `keras.Model`, such as
            `models.CifarResNet` or a custom function.
        methods: As `drop_space` takes them.
        recipe: Learning rate, schedule, weight decay, precision and so on; its network, dataset and
            drop are ignored. `None` keeps the compilation of the builder, or uses the paper's
            recipe if the builder does not compile.
        top_rates: As `drop_space` takes them.
        retaining_rates: As `drop_space` takes them.
        tune: Values to draw from for further fields of the recipe, such as
            `{"learning_rate": (0.03, 0.1), "weight_decay": (1e-4, 5e-4)}`: any of `learning_rate`,
            `weight_decay`, `momentum`, `batch_size`, `schedule` and `decay_factor`. The
            hyperparameters are called `recipe/learning_rate` and so on.
        loss: Loss of the models that this class compiles. `None` means sparse categorical
            cross-entropy, from logits unless the last layer is a softmax.
        jit: Whether to compile the training step of the models that this class compiles; `None` for
            the fastest choice.
        name: See `keras_tuner.HyperModel`.

    Raises:
        TypeError: If `build` cannot be called with `drop=`, or a value has the wrong type.
        ValueError: If a value is out of range, or a method has nothing feasible to draw.

    Example:

    ```python
    builder = functools.partial(models.CifarResNet, 8, input_shape=(8, 8, 1))
    hypermodel = tuning.DropHyperModel(builder, methods=("selectscale", "selectout"))
    ```
    """

    def __init__(
        self,
        build: Callable[..., keras.Model],
        methods: Sequence[str] = DEFAULT_METHODS,
        recipe: Recipe | None = None,
        *,
        top_rates: Sequence[float] | None = None,
        retaining_rates: Sequence[float] | None = None,
        tune: Mapping[str, Sequence[Any]] | None = None,
        loss: Any = None,
        jit: bool | None = None,
        name: str | None = None,
    ):
        if not callable(build) or not _takes_drop(build):
            raise type_error("build", "callable with an argument `drop=`", build)
        self.builder = build
        self.space = RateSpace(methods, top_rates, retaining_rates)
        self.tune = {field: list(values) for field, values in as_tune(tune).items()}
        self.loss = loss
        check_jit(jit)
        self.jit = jit
        self.plain = recipe is None
        self.compiles = recipe is not None or bool(self.tune)
        self.base = _as_base(recipe)
        self._check_tune()
        super().__init__(name=name)

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        """Returns the compiled model of a trial."""
        rates = self.space.draw(hp)
        values = {field: hp.Choice(f"recipe/{field}", each) for field, each in self.tune.items()}
        recipe = self._recipe(rates, values)
        drop: Any = make_drop(**rates, score=recipe.score)
        if drop is not None and recipe.group_factors is not None:
            drop = models.by_group(drop, dict(recipe.group_factors))
        # Without a recipe, the builder decides.
        policy = contextlib.nullcontext() if self.plain else dtype_policy(recipe.precision)
        with policy:
            model = self.builder(drop=drop)
        if not isinstance(model, keras.Model):
            raise TypeError(
                "Argument `build` must return a keras.Model. "
                f"Received: {shown(model)} (of type {type(model).__name__})"
            )
        if self.compiles or not model.compiled:
            # Constant until `fit` knows how many steps the schedule has.
            optimizer = CoupledSGD(
                recipe.learning_rate, momentum=recipe.momentum, l2=recipe.weight_decay
            )
            self._compile(model, optimizer)
        return model

    def fit(
        self, hp: keras_tuner.HyperParameters, model: keras.Model, *args: Any, **kwargs: Any
    ) -> Any:
        """Trains a model.

        Args:
            hp: Hyperparameters of the trial.
            model: The model that `build` returned.
            *args: As `model.fit` takes them, or images from `data.validation_split`.
            **kwargs: As `model.fit` takes them. If `epochs` or, for arrays, `batch_size` is
                omitted, the recipe's value is used. With images: `epochs`, `initial_epoch`,
                `callbacks`, `seed`, which determines the order and the augmentation, and
                `stopped_trial`, with which `DropTuner` continues a run that was stopped.

        Returns:
            The history, or with images `validation_error` and `train_error` in percent,
            `validation_loss`, and the number of `epochs`.

        Raises:
            ValueError: If the number of steps of the recipe's schedule is unknown for the data.
        """
        if args and isinstance(args[0], Dataset):
            return self._fit_images(hp, model, *args, **kwargs)
        if self.compiles:
            kwargs = self._as_recipe_says(hp, model, args[0] if args else kwargs.get("x"), kwargs)
        # Without a recipe it is the builder's affair.
        if self.plain or self.base.normalization == "keras":
            return super().fit(hp, model, *args, **kwargs)
        with fuse_normalization(model):
            return super().fit(hp, model, *args, **kwargs)

    def _as_recipe_says(
        self, hp: keras_tuner.HyperParameters, model: keras.Model, x: Any, given: dict[str, Any]
    ) -> dict[str, Any]:
        """Returns the arguments of `model.fit`, completed from the recipe."""
        recipe = self.recipe(hp.values)
        # If no recipe was given, only the tuned fields of the paper's recipe apply.
        if not self.plain:
            given = {"epochs": recipe.epochs, **given}
        # One of several inputs, or the object that yields the batches.
        first = keras.tree.flatten(x)[0]
        is_array = hasattr(first, "shape")
        if is_array and (not self.plain or "batch_size" in self.tune):
            given = {"batch_size": recipe.batch_size, **given}
        if not self.plain or {"schedule", "decay_factor"} & set(self.tune):
            steps = given.get("steps_per_epoch")
            if steps is None and is_array:
                size = math.floor(len(first) * (1 - given.get("validation_split", 0.0)))
                steps = math.ceil(size / (given.get("batch_size") or 32))
            elif steps is None:
                steps = _count_batches(first)
            self._compile(model, recipe.make_optimizer(steps))
        return given

    def recipe(self, values: Mapping[str, Any]) -> Recipe:
        """Returns the recipe of a trial's hyperparameter values."""
        tuned = {field: values[f"recipe/{field}"] for field in self.tune}
        return self._recipe(self.space.rates(dict(values)), tuned)

    def _recipe(self, rates: dict[str, Any], tuned: dict[str, Any]) -> Recipe:
        method = get_method(rates["drop"])
        changes = {
            **rates,
            "score": None if method.top_rate is None else self.base.score,
            "group_factors": None if method.layer is None else self.base.group_factors,
        }
        # Takes the nearest value, because a number may lose digits on its way between processes.
        for field, value in tuned.items():
            choices = self.tune[field]
            if not isinstance(value, str):
                value = min(choices, key=lambda choice: abs(choice - value))
            changes[field] = value
        return dataclasses.replace(self.base, **changes)

    def _fit_images(
        self,
        hp: keras_tuner.HyperParameters,
        model: keras.Model,
        images: Dataset,
        *,
        epochs: int | None = None,
        initial_epoch: int = 0,
        seed: int = 0,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        stopped_trial: StoppedTrial | None = None,
    ) -> dict[str, float]:
        recipe = self.recipe(hp.values)
        if self.compiles:
            steps = datasets.steps_per_epoch(images, recipe.batch_size)
            self._compile(model, recipe.make_optimizer(steps))
        return train_trial(
            model,
            images,
            recipe,
            epochs=recipe.epochs if epochs is None else epochs,
            initial_epoch=initial_epoch,
            seed=seed,
            callbacks=callbacks,
            stopped_trial=stopped_trial,
        )

    def _compile(self, model: keras.Model, optimizer: keras.optimizers.Optimizer) -> None:
        loss = self.loss
        if loss is None:
            last = model.layers[-1]
            softmax = isinstance(last, keras.layers.Softmax) or (
                getattr(last, "activation", None) is keras.activations.softmax
            )
            loss = keras.losses.SparseCategoricalCrossentropy(from_logits=not softmax)
        model.compile(
            optimizer=optimizer,
            loss=loss,
            metrics=["accuracy"],
            jit_compile=decide_jit(self.jit),
        )

    def _check_tune(self) -> None:
        for field, values in self.tune.items():
            if field not in TUNABLE or not values:
                raise value_error("tune", f"a dict of some of {list(TUNABLE)} to values", self.tune)
            for value in values:
                dataclasses.replace(self.base, **{field: value})


def as_tune(value: Any) -> dict[str, tuple[Any, ...]]:
    """Returns what is searched besides the drop, as tuples by the names of the recipe's fields."""
    if value is None:
        return {}
    as_instance("tune", value, Mapping, "a dict of fields of the recipe to lists of values")
    return {field: as_sequence("tune", values) for field, values in value.items()}


def _count_batches(batches: Any) -> int:
    try:
        return len(batches)
    except TypeError:  # A generator, or a tf.data dataset of unknown length.
        raise ValueError(
            "Argument `steps_per_epoch` must be given for data that do not tell how many batches "
            f"they are: the recipe's schedule needs it. Received: x={type(batches).__name__}"
        ) from None


def _takes_drop(build: Callable) -> bool:
    try:
        parameters = inspect.signature(build).parameters.values()
    except (TypeError, ValueError):  # Some C callables have no signature; the first call decides.
        return True
    return any(each.name == "drop" or each.kind is each.VAR_KEYWORD for each in parameters)


def _as_base(recipe: Recipe | None) -> Recipe:
    """Returns the recipe, or the paper's if it is `None`, and refuses a curriculum."""
    if recipe is None:
        # The paper's recipe; network and dataset are ignored.
        return Recipe(network="resnet-8", dataset="digits")
    as_instance("recipe", recipe, Recipe, "a Recipe")
    if recipe.curriculum != "none":
        raise ValueError(
            "Argument `recipe` must have no curriculum, because a search keeps the retaining rate "
            f"constant. Received: curriculum={recipe.curriculum!r}"
        )
    return recipe
