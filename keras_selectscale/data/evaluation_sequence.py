"""Batches to evaluate with where there is no tf.data."""

from typing import Any

import keras
import numpy as np

from keras_selectscale.data.image_data import ImageData


class EvaluationSequence(keras.utils.PyDataset):
    """All images of a split once, in their order, normalised and not augmented, in NumPy.

    Args:
        data: Images in memory.
        batch_size: Images a batch, at least 1; the last one is smaller where need be.
        split: `"test"` or `"train"`.
    """

    def __init__(self, data: ImageData, batch_size: int, split: str):
        super().__init__()
        self.images = getattr(data, f"{split}_images")
        self.labels = getattr(data, f"{split}_labels")
        self.mean = np.asarray(data.mean, np.float32)
        self.std = np.asarray(data.std, np.float32)
        self.batch_size = batch_size

    def __len__(self) -> int:
        return -(-len(self.labels) // self.batch_size)

    def __getitem__(self, number: int) -> tuple[Any, Any]:
        batch = slice(number * self.batch_size, (number + 1) * self.batch_size)
        pixels = self.images[batch].astype(np.float32) / np.float32(255)
        return (pixels - self.mean) / self.std, self.labels[batch]
