"""The datasets by name."""

import types
from collections.abc import Mapping

from keras_selectscale.data.arguments import as_integer
from keras_selectscale.data.augmentation import Augmentation
from keras_selectscale.data.digits import load_digits
from keras_selectscale.data.image_data import ImageData
from keras_selectscale.data.prepared_images import load_prepared
from keras_selectscale.data.subset import training_subset

DATASETS: Mapping[str, str] = types.MappingProxyType(
    {
        "digits": "1,797 grey images of 8x8, 10 classes; in scikit-learn, no download",
        "cifar10": "60,000 colour images of 32x32, 10 classes; prepared by TensorFlow Datasets",
    }
)


def load(
    name: str, *, data_dir: str | None = None, train_size: int | None = None, seed: int = 0
) -> ImageData:
    """Reads a dataset into memory.

    Args:
        name: One of `DATASETS`.
        data_dir: Folder of the prepared TensorFlow Datasets; `None` is the environment variable
            `TFDS_DATA_DIR`, or else `~/tensorflow_datasets`. The digits do not need it.
        train_size: Keep a stratified subset of so many training images; `None` keeps all.
        seed: What chooses the subset, at least 0.

    Returns:
        The images, with `mean` and `std` of the whole training split whatever the subset.

    Raises:
        FileNotFoundError: Where the dataset is not prepared: at once, in one line that says how
            to get it.
        OSError: Where the prepared files cannot be read.
        TypeError: Where `train_size` or `seed` is no integer.
        ValueError: Where `name` is unknown, or `train_size` or `seed` out of range.
    """
    if name not in DATASETS:
        raise ValueError(
            f"Argument `dataset` must be one of {', '.join(DATASETS)}. Received: dataset={name!r}"
        )
    # Before the seconds that reading takes.
    seed = as_integer("seed", seed, 0)
    if train_size is not None:
        train_size = as_integer("train_size", train_size, 1)
    if name == "digits":
        data = load_digits()
    else:
        data = load_prepared(name, data_dir, Augmentation(padding=4, flip=True))
    if train_size is None:
        return data
    return training_subset(data, train_size=train_size, seed=seed)
