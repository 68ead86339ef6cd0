"""Builds and evaluates the model of a recipe, and releases its memory."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import keras

from keras_selectscale import data as datasets
from keras_selectscale import models
from keras_selectscale.argument_names import named_arguments
from keras_selectscale.checks import as_integer
from keras_selectscale.data import Dataset
from keras_selectscale.models.cifar_resnet import LAST_DROPS
from keras_selectscale.models.dtype_policy import dtype_policy
from keras_selectscale.object_checks import as_instance, as_instances
from keras_selectscale.training.recipe import Recipe
from keras_selectscale.training.speed import decide_jit

DATASET = "a dataset as `data.load` returns it"
# The top-5 error is reported for this many classes or more, as is usual on ImageNet.
TOP5_CLASSES = 1000
# Images of an evaluation batch: at most 500, and as many as need the memory of 500 CIFAR images.
EVALUATION_BATCH = 500
EVALUATION_POSITIONS = 500 * 32 * 32
# TensorFlow's name for the gradients that `tf.custom_gradient` registers, which Keras calls in each
# graph.
CUSTOM_GRADIENT = "CustomGradient-"


@named_arguments
def build_model(
    recipe: Recipe, images: Dataset, steps_per_epoch: int, *, jit: bool | None = None
) -> keras.Model:
    """Returns the compiled model of a recipe. The recipe's seed determines the initial weights.

    Args:
        recipe: The recipe.
        images: Dataset, of which only the shape and the number of classes are used.
        steps_per_epoch: Steps per epoch, for the schedules.
        jit: Whether to compile the training step; `None` for the faster choice.
    """
    as_instance("recipe", recipe, Recipe, "a Recipe")
    as_instance("images", images, Dataset, DATASET)
    steps_per_epoch = as_integer("steps_per_epoch", steps_per_epoch, 1)
    keras.utils.set_random_seed(recipe.seed)
    with dtype_policy(recipe.precision):
        drop: Any = recipe.make_drop(recipe.epochs * steps_per_epoch)
        if drop is not None and recipe.group_factors is not None:
            drop = models.by_group(drop, dict(recipe.group_factors))
        further = {}
        if recipe.last_drop != LAST_DROPS[0]:  # Not every builder has it.
            further["last_drop"] = recipe.last_drop
        model = models.build(
            recipe.network,
            drop=drop,
            input_shape=images.input_shape,
            classes=images.classes,
            data_format="channels_last",
            **further,
        )
    model.compile(
        optimizer=recipe.make_optimizer(steps_per_epoch),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=make_metrics(images),
        jit_compile=decide_jit(jit),
    )
    return model


def make_metrics(images: Dataset) -> list[Any]:
    """Returns the metrics of a model: the accuracy, and the top-5 accuracy for many classes."""
    metrics: list[Any] = ["accuracy"]
    if images.classes >= TOP5_CLASSES:
        metrics.append(keras.metrics.SparseTopKCategoricalAccuracy(5, name="top5_accuracy"))
    return metrics


@named_arguments
def evaluate(
    model: keras.Model,
    images: Dataset,
    split: str | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> dict[str, float]:
    """Evaluates a model, without drops.

    Args:
        model: Compiled model of a recipe.
        images: Dataset.
        split: `"train"`, or the name of the evaluation split, `"test"` or `"validation"`; `None` is
            the evaluation split.
        callbacks: Keras callbacks.

    Returns:
        `loss`, and `error` in percent; also `top5_error` for 1,000 classes or more.

    Raises:
        OSError: If an image cannot be read.
        TypeError: If an argument has the wrong type.
    """
    as_instance("model", model, keras.Model, "a compiled keras.Model")
    as_instance("images", images, Dataset, DATASET)
    kind = keras.callbacks.Callback
    callbacks = as_instances("callbacks", callbacks, kind, "Keras callbacks")
    height, width, _ = images.input_shape
    batch_size = max(1, min(EVALUATION_BATCH, EVALUATION_POSITIONS // (height * width)))
    batches: Any
    if keras.backend.backend() == "jax" and images.in_memory:
        # Like training, this needs no TensorFlow.
        from keras_selectscale.data.device_batches import EvaluationSequence

        batches = EvaluationSequence(images, batch_size, split)
    else:
        batches = datasets.evaluation_batches(images, batch_size=batch_size, split=split)
    with datasets.image_errors():
        values = model.evaluate(batches, verbose=0, return_dict=True, callbacks=[*callbacks])
    errors = {
        name.replace("accuracy", "error"): 100 * (1 - float(value))
        for name, value in values.items()
        if name.endswith("accuracy")
    }
    return {"loss": float(values["loss"]), **errors}


@contextlib.contextmanager
def released_models() -> Iterator[None]:
    """Releases the memory of all models that are built inside the context when it ends.

    Keras keeps the graph of each model until its session is cleared. TensorFlow registers the
    custom gradients of each graph that it traces for good, and with them the graph: some 20 MB per
    model. Its registry has no public method that removes an entry. Models that were built inside
    the context cannot be trained afterwards.
    """
    registry: dict[str, Any] = {}
    if keras.backend.backend() == "tensorflow":
        from tensorflow.python.framework import ops

        registry = getattr(ops.gradient_registry, "_registry", {})
    before = set(registry)
    try:
        yield
    finally:
        for name in set(registry) - before:
            if name.startswith(CUSTOM_GRADIENT):
                del registry[name]
        keras.backend.clear_session()
