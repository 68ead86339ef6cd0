"""The error of a model on a dataset."""

from typing import Any

import keras

from keras_selectscale import data as datasets
from keras_selectscale.data import Dataset

# Images of an evaluation batch: as many as take the room of 500 of CIFAR's, and not over 500.
EVALUATION_BATCH = 500
EVALUATION_POSITIONS = 500 * 32 * 32


def evaluate(model: keras.Model, images: Dataset, split: str | None = None) -> dict[str, float]:
    """Returns `loss`, and `error` (and `top5_error`) in percent, on a split, without drops.

    `split=None` stands for the evaluation split of `images`.
    """
    height, width, _ = images.input_shape
    batch_size = max(1, min(EVALUATION_BATCH, EVALUATION_POSITIONS // (height * width)))
    batches: Any
    if keras.backend.backend() == "jax" and images.in_memory:
        # As the training does, it goes without TensorFlow.
        from keras_selectscale.data.device_batches import EvaluationSequence

        batches = EvaluationSequence(images, batch_size, split)
    else:
        batches = datasets.evaluation_batches(images, batch_size=batch_size, split=split)
    with datasets.image_errors():
        values = model.evaluate(batches, verbose=0, return_dict=True)
    errors = {
        name.replace("accuracy", "error"): 100 * (1 - float(value))
        for name, value in values.items()
        if name.endswith("accuracy")
    }
    return {"loss": float(values["loss"]), **errors}
