"""Statistics over many predictions for the same inputs, accumulated as they come."""

from typing import Any

import keras
import numpy as np

# How far the sum of the probabilities of an input may be from 1: half precision has 3 digits.
TOLERANCE = 1e-2


class Moments:
    """Mean, deviation and entropies of predictions for one batch of inputs.

    Args:
        from_logits: Whether the predictions are logits.
        keep: Whether to keep the predictions, for quantiles.
    """

    def __init__(self, *, from_logits: bool = False, keep: bool = False):
        self.from_logits, self.keep = from_logits, keep
        self.count = 0
        self.are_probabilities = True
        self._structure: Any = None
        self._means: list[np.ndarray] = []
        self._squares: list[np.ndarray] = []
        self._probabilities: list[np.ndarray] = []
        self._entropies: list[np.ndarray] = []
        self._kept: list[list[np.ndarray]] = []

    def add(self, predictions: Any) -> None:
        """Adds predictions: arrays of shape (samples, inputs, ...) in the model's structure."""
        values = [np.asarray(value) for value in keras.tree.flatten(predictions)]
        number = len(values[0])
        if self.keep:
            self._kept.append(values)
        values = [np.asarray(value, "float64") for value in values]
        if self._structure is None:
            self._structure = predictions
            self._means = [np.zeros(value.shape[1:]) for value in values]
            self._squares = [np.zeros(value.shape[1:]) for value in values]
            self._probabilities = [np.zeros(value.shape[1:]) for value in values]
            self._entropies = [np.zeros(value.shape[1:-1]) for value in values]
        total = self.count + number
        for place, value in enumerate(values):
            # Two parts joined as in Chan, Golub and LeVeque (1983): a sum of squares would lose
            # the difference between similar samples.
            mean = value.mean(axis=0)
            away = mean - self._means[place]
            self._squares[place] += np.square(value - mean).sum(axis=0)
            self._squares[place] += np.square(away) * (self.count * number / total)
            self._means[place] += away * (number / total)
        self.count = total
        if self.are_probabilities:
            self._add_entropies(values)

    def _add_entropies(self, values: list[np.ndarray]) -> None:
        for place, value in enumerate(values):
            if value.ndim < 3:
                self.are_probabilities = False
                return
            if self.from_logits:
                value = np.exp(value - value.max(axis=-1, keepdims=True))
                value /= value.sum(axis=-1, keepdims=True)
            elif (value < 0).any() or (np.abs(value.sum(axis=-1) - 1) > TOLERANCE).any():
                self.are_probabilities = False
                return
            self._probabilities[place] += value.sum(axis=0)
            self._entropies[place] += entropy(value).sum(axis=0)

    @property
    def mean(self) -> Any:
        """The mean over the samples."""
        return self._packed(self._means)

    @property
    def deviation(self) -> Any:
        """The standard deviation over the samples, divided by their number."""
        return self._packed([np.sqrt(square / self.count) for square in self._squares])

    @property
    def entropy(self) -> Any:
        """The entropy of the mean probabilities, in nats."""
        return self._packed([entropy(p / self.count) for p in self._probabilities])

    @property
    def mutual_information(self) -> Any:
        """The entropy of the mean minus the mean entropy, at least 0 except for rounding."""
        pairs = zip(self._probabilities, self._entropies, strict=True)
        return self._packed([entropy(p / self.count) - e / self.count for p, e in pairs])

    @property
    def samples(self) -> Any:
        """All predictions, of shape (samples, inputs, ...)."""
        return self._packed([np.concatenate(parts) for parts in zip(*self._kept, strict=True)])

    def quantiles(self, levels: list[float]) -> Any:
        """Returns quantiles over the samples, of shape (levels, inputs, ...)."""
        return keras.tree.map_structure(
            lambda values: np.quantile(np.asarray(values, "float64"), levels, axis=0), self.samples
        )

    def _packed(self, values: list[np.ndarray]) -> Any:
        return keras.tree.pack_sequence_as(self._structure, values)


def entropy(probabilities: np.ndarray) -> np.ndarray:
    """Returns the entropy over the last axis, in nats."""
    logarithms = np.log(probabilities, out=np.zeros_like(probabilities), where=probabilities > 0)
    return -(probabilities * logarithms).sum(axis=-1)
