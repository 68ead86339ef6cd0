"""Image datasets, in memory or streamed, and the batches to train on and to evaluate with."""

from keras_selectscale.data.any_images import AnyImages
from keras_selectscale.data.augmentation import Augmentation
from keras_selectscale.data.batches import evaluation_batches, steps_per_epoch, training_batches
from keras_selectscale.data.dataset_name import DATASETS, check_name
from keras_selectscale.data.datasets import load
from keras_selectscale.data.image_data import ImageData
from keras_selectscale.data.image_errors import image_errors
from keras_selectscale.data.inception_augmentation import InceptionAugmentation
from keras_selectscale.data.packed_images import pack
from keras_selectscale.data.streamed_images import StreamedImages
from keras_selectscale.data.subset import training_subset
from keras_selectscale.data.validation import validation_split

__all__ = [
    "DATASETS",
    "AnyImages",
    "Augmentation",
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
