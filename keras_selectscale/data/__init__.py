"""Image datasets, in memory or streamed, and the batches to train and to evaluate on."""

from keras_selectscale.data.augmentation import Augmentation, InceptionAugmentation
from keras_selectscale.data.dataset import (
    Dataset,
    evaluation_batches,
    steps_per_epoch,
    training_batches,
)
from keras_selectscale.data.datasets import DATASETS, check_name, load
from keras_selectscale.data.decoding import image_errors
from keras_selectscale.data.image_data import ImageData
from keras_selectscale.data.packed_images import pack
from keras_selectscale.data.splits import training_subset, validation_split
from keras_selectscale.data.streamed_images import StreamedImages

# Any dataset, in memory or streamed.
AnyImages = Dataset

__all__ = [
    "DATASETS",
    "AnyImages",
    "Augmentation",
    "Dataset",
    "ImageData",
    "InceptionAugmentation",
    "StreamedImages",
    "check_name",
    "evaluation_batches",
    "image_errors",
    "load",
    "pack",
    "steps_per_epoch",
    "training_batches",
    "training_subset",
    "validation_split",
]
