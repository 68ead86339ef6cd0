"""The model of a recipe."""

from typing import Any

import keras

from keras_selectscale import models
from keras_selectscale.data import AnyImages
from keras_selectscale.models.dtype_policy import dtype_policy
from keras_selectscale.training.recipe import Recipe
from keras_selectscale.training.speed import decide_jit

# The top-5 error is reported from here on, as on ImageNet.
TOP5_CLASSES = 1000


def build_model(
    recipe: Recipe, images: AnyImages, steps_per_epoch: int, *, jit: bool | None = None
) -> keras.Model:
    """Returns the compiled model of a recipe, its initial weights decided by the seed.

    Args:
        recipe: What to build.
        images: What it will train on, of which the shape and the classes count.
        steps_per_epoch: Steps of an epoch, for the schedules.
        jit: Whether the training step is compiled; `None` for what is fastest.
    """
    keras.utils.set_random_seed(recipe.seed)
    with dtype_policy(recipe.precision):
        drop: Any = recipe.make_drop(recipe.epochs * steps_per_epoch)
        if drop is not None and recipe.group_factors is not None:
            drop = models.by_group(drop, dict(recipe.group_factors))
        model = models.build(
            recipe.network,
            drop=drop,
            input_shape=images.input_shape,
            classes=images.classes,
            data_format="channels_last",
        )
    metrics: list[Any] = ["accuracy"]
    if images.classes >= TOP5_CLASSES:
        metrics.append(keras.metrics.SparseTopKCategoricalAccuracy(5, name="top5_accuracy"))
    model.compile(
        optimizer=recipe.make_optimizer(steps_per_epoch),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=metrics,
        jit_compile=decide_jit(jit),
    )
    return model
