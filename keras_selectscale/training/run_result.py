"""The result of a run: errors, error of each class, and calibration on the test images."""

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_selectscale import stopping
from keras_selectscale.data import Dataset
from keras_selectscale.training.checkpoints import RunState
from keras_selectscale.training.model import evaluate, make_metrics
from keras_selectscale.training.stop_check import EvaluationStop

# The usual number.
ECE_BINS = 15


class PredictionCounts(keras.metrics.Metric):
    """Counts right and wrong predictions by class, and by confidence.

    The confidence of a prediction is its softmax probability. Bin i of n holds the predictions
    whose confidence is in (i / n, (i + 1) / n].

    Args:
        classes: Number of classes.
        bins: Number of bins of the confidence.
    """

    def __init__(self, classes: int, bins: int = ECE_BINS):
        super().__init__(name="predictions", dtype="float32")
        self.classes, self.bins = classes, bins

        def zeros(name: str, size: int) -> Any:
            return self.add_variable((size,), "zeros", name=name)

        self.images = zeros("images", classes)
        self.wrong = zeros("wrong", classes)
        self.held = zeros("held", bins)
        self.right = zeros("right", bins)
        self.confidence = zeros("confidence", bins)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds a batch of labels and logits."""
        labels = ops.cast(ops.reshape(y_true, (-1,)), "int32")
        confidence = ops.max(ops.softmax(ops.cast(y_pred, "float32")), axis=-1)
        right = ops.cast(ops.cast(ops.argmax(y_pred, axis=-1), "int32") == labels, "float32")
        place = ops.cast(ops.ceil(confidence * self.bins), "int32") - 1
        by_class = ops.one_hot(labels, self.classes)
        by_bin = ops.one_hot(ops.clip(place, 0, self.bins - 1), self.bins)
        for total, groups, values in (
            (self.images, by_class, ops.ones_like(right)),
            (self.wrong, by_class, 1.0 - right),
            (self.held, by_bin, ops.ones_like(right)),
            (self.right, by_bin, right),
            (self.confidence, by_bin, confidence),
        ):
            # A sum and no product of matrices, which some devices round.
            total.assign_add(ops.sum(groups * ops.expand_dims(values, -1), axis=0))

    def result(self) -> Any:
        """Returns the share of wrong predictions."""
        return ops.sum(self.wrong) / ops.maximum(ops.sum(self.images), 1.0)

    def class_errors(self) -> list[float | None]:
        """Returns the error of each class in percent, `None` for a class without an image."""
        images, wrong = (np.asarray(_numbers(each)) for each in (self.images, self.wrong))
        return [100 * float(w / n) if n else None for w, n in zip(wrong, images, strict=True)]

    def calibration_error(self) -> float:
        """Returns the expected calibration error, in [0, 1].

        It is the mean over all predictions of the distance, in the bin of each, between the mean
        confidence and the accuracy (Guo et al., ICML 2017).
        """
        held, right, confidence = map(_numbers, (self.held, self.right, self.confidence))
        return float(np.abs(confidence - right).sum() / held.sum())


def _numbers(variable: Any) -> np.ndarray:
    return ops.convert_to_numpy(variable.value).astype("float64")


def tested(model: keras.Model, images: Dataset) -> dict[str, Any]:
    """Evaluates a model of a run, which is compiled again for it, on the evaluation split.

    Args:
        model: Compiled model that returns logits.
        images: Dataset.

    Returns:
        What `evaluate` returns; `class_errors` in percent; `nll`, the mean negative log-likelihood;
        and `ece`, the expected calibration error over `ECE_BINS` bins of equal width.
    """
    counts = PredictionCounts(images.classes)
    model.compile(
        optimizer=model.optimizer,
        loss=model.loss,
        metrics=[*make_metrics(images), counts],
        jit_compile=model.jit_compile,
    )
    with stopping.deferred():
        found: dict[str, Any] = evaluate(model, images, callbacks=[EvaluationStop()])
    # The loss is the cross-entropy alone: weight decay is a part of the optimizer.
    return {
        **found,
        "class_errors": counts.class_errors(),
        "nll": found["loss"],
        "ece": counts.calibration_error(),
    }


def make_result(images: Dataset, model: keras.Model, state: RunState) -> dict[str, Any]:
    """Returns the content of `result.json`.

    Args:
        images: Dataset of the run.
        model: The trained model.
        state: How far the run has come.

    Raises:
        FloatingPointError: If the test loss is NaN or infinite.
    """
    test = tested(model, images)
    if not math.isfinite(test["loss"]):
        raise FloatingPointError(
            f"the test loss is {test['loss']} after the last epoch: a lower learning rate may help"
        )
    trained = len(state.rows) * images.train_count
    seconds = state.seconds - state.startup_seconds
    return {
        **{f"test_{name}": value for name, value in test.items()},
        "ece_bins": ECE_BINS,
        "train_error": 100 * (1 - state.rows[-1].accuracy),
        "parameters": sum(int(np.prod(w.shape)) for w in model.trainable_weights),
        "epochs": len(state.rows),
        "seconds": round(state.seconds, 2),
        "startup_seconds": round(state.startup_seconds, 2),
        "images_per_second": round(trained / seconds, 1) if seconds > 0 else 0.0,
    }
