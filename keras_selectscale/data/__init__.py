"""Image datasets in memory, and the batches that a network trains on and is evaluated with."""

from keras_selectscale.data.augmentation import Augmentation
from keras_selectscale.data.batches import evaluation_batches, steps_per_epoch, training_batches
from keras_selectscale.data.datasets import DATASETS, load
from keras_selectscale.data.image_data import ImageData
from keras_selectscale.data.subset import training_subset

__all__ = [
    "DATASETS",
    "Augmentation",
    "ImageData",
    "evaluation_batches",
    "load",
    "steps_per_epoch",
    "training_batches",
    "training_subset",
]
