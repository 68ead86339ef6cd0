"""The datasets by name."""

import dataclasses

from keras_selectscale.data.any_images import AnyImages
from keras_selectscale.data.arguments import as_integer
from keras_selectscale.data.dataset_name import parse_name
from keras_selectscale.data.digits import load_digits
from keras_selectscale.data.image_data import ImageData
from keras_selectscale.data.image_folder import load_folder
from keras_selectscale.data.in_memory import brought_to_size
from keras_selectscale.data.packed_images import load_packed
from keras_selectscale.data.prepared_images import load_prepared
from keras_selectscale.data.subset import training_subset


def load(
    name: str,
    *,
    data_dir: str | None = None,
    train_size: int | None = None,
    seed: int = 0,
    image_size: int | None = None,
    flip: bool | None = None,
) -> AnyImages:
    """Loads a dataset: into memory where its images have one size and take at most 2 GiB.

    All others are read from the disk while they are used, with the augmentation that ImageNet is
    trained with: `imagenet2012`, and whatever holds images of varying size.

    Args:
        name: A form in `DATASETS`, as `check_name` lets it pass.
        data_dir: Folder of the prepared TensorFlow Datasets; `None` is the environment variable
            `TFDS_DATA_DIR`, or else `~/tensorflow_datasets`. Digits and folders do not need it.
        train_size: Keep a stratified subset of so many training images; `None` keeps all.
        seed: What chooses the subset, at least 0.
        image_size: Height and width that the images are brought to; `None` is the dataset's own
            where all images have one size (the shorter side, where they are streamed), else 224.
        flip: Whether training images are mirrored; `None` is the dataset's own: not the digits nor
            other grey images, which are mostly writing, but all colour images.

    Returns:
        Images in memory, with `mean` and `std` of the whole training split whatever the subset; or
        streamed images, with those of ImageNet.

    Raises:
        FileNotFoundError: Where the dataset is not prepared or the folder is not there: at once,
            in one line that says how to get it.
        OSError: Where files cannot be read.
        TypeError: Where an argument has another type.
        ValueError: Where `name` is unknown, `train_size`, `seed` or `image_size` is out of range,
            or what `name` stands for cannot be trained on.
    """
    # All of it before the seconds that reading takes.
    kind, place = parse_name(name)
    seed = as_integer("seed", seed, 0)
    if train_size is not None:
        train_size = as_integer("train_size", train_size, 1)
    if image_size is not None:
        image_size = as_integer("image_size", image_size, 1)
    if flip is not None and not isinstance(flip, bool):
        raise TypeError(
            "Argument `flip` must be a bool or None. "
            f"Received: flip={flip!r} (of type {type(flip).__name__})"
        )
    data: AnyImages
    if kind == "digits":
        data = load_digits()
    elif kind == "folder":
        data = load_folder(place, name=name, image_size=image_size)
    else:
        data = load_packed(place, data_dir, dataset=name) or load_prepared(
            place, data_dir, dataset=name, image_size=image_size
        )
    if isinstance(data, ImageData):
        data = brought_to_size(data, image_size)
    if flip is not None:
        data = _flipped(data, flip)
    if train_size is None:
        return data
    return training_subset(data, train_size=train_size, seed=seed)


def _flipped(data: AnyImages, flip: bool) -> AnyImages:
    if isinstance(data, ImageData):
        augmentation = dataclasses.replace(data.augmentation, flip=flip)
        return dataclasses.replace(data, augmentation=augmentation)
    return dataclasses.replace(data, augmentation=dataclasses.replace(data.augmentation, flip=flip))
