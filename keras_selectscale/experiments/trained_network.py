"""A trained network, read from the folder of a run or from a `.keras` file, and its test images."""

import dataclasses
import hashlib
import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np

from keras_selectscale import data
from keras_selectscale.checks import as_integer, value_error
from keras_selectscale.data import Dataset
from keras_selectscale.data.arrays import resized
from keras_selectscale.data.decoding import decode, read_header
from keras_selectscale.object_checks import as_file_name, as_path
from keras_selectscale.regular_files import check_regular
from keras_selectscale.surgery import drop_kinds, strip_drops
from keras_selectscale.training import RunFolder, load_checkpoint

# Values per batch of images, about 100 images of CIFAR-10.
BATCH_VALUES = 100 * 32 * 32 * 3
LARGEST_BATCH = 500


@dataclasses.dataclass(frozen=True)
class TrainedNetwork:
    """A trained classifier without drops.

    Attributes:
        name: Name of the run, or of the file without its ending.
        model: The model. Its outputs are logits or probabilities.
        dataset: Name of the dataset of a run; `None` for a file, which does not record it.
        image_size: Height and width to which the run resized its images, or `None`.
        digest: The first 12 digits of the SHA-256 of the weights.
    """

    name: str
    model: keras.Model
    dataset: str | None
    image_size: int | None
    digest: str

    def with_precision(self, precision: str) -> "TrainedNetwork":
        """Returns the network with another dtype policy, such as `"mixed_bfloat16"`.

        Raises:
            ValueError: If the model is subclassed, so that it cannot be copied.
        """

        def copied(layer: keras.Layer) -> keras.Layer:
            return type(layer).from_config({**layer.get_config(), "dtype": precision})

        if all(layer.dtype_policy.name == precision for layer in self.model.layers):
            return self
        model = keras.models.clone_model(self.model, clone_function=copied)
        model.set_weights(self.model.get_weights())
        return dataclasses.replace(self, model=model)


def load_network(path: str | os.PathLike) -> TrainedNetwork:
    """Reads a trained network and removes its drops.

    Args:
        path: Folder of a run, or a `.keras` file.

    Raises:
        DamagedFileError: If a file of the run is damaged.
        FileNotFoundError: If nothing exists at `path`, or the run has no checkpoint yet.
        ValueError: If the file is not a Keras model, or the model is not an image classifier.
    """
    path = as_path("path", path)
    dataset = image_size = None
    if path.is_dir():
        run = RunFolder(path)
        recipe = run.recipe()
        dataset, image_size = recipe.dataset, recipe.image_size
        model, name = load_checkpoint(run), path.resolve().name
    else:
        model, name = _read_file(path), path.stem
    shape = getattr(model, "input_shape", None), getattr(model, "output_shape", None)
    if not all(isinstance(s, tuple) and len(s) == n for s, n in zip(shape, (4, 2), strict=True)):
        raise ValueError(f"{path} is not a classifier of images: its shapes are {shape}")
    if drop_kinds.find_drops(model, "all"):
        model = strip_drops(model)
    digest = hashlib.sha256()
    for weight in model.get_weights():
        digest.update(np.ascontiguousarray(weight).tobytes())
    return TrainedNetwork(name, model, dataset, image_size, digest.hexdigest()[:12])


def find_network(name: str, runs_dir: pathlib.Path) -> TrainedNetwork:
    """Returns the network of a `.keras` file, of a run's folder, or of a run's name.

    The errors are those of `load_network`.
    """
    is_path = name.endswith(".keras") or (name and os.path.exists(name))
    if is_path:
        return load_network(name)
    folder = runs_dir / as_file_name("run", name)
    if not folder.exists():
        raise FileNotFoundError(f"{name} is neither a file nor a run in {runs_dir} (--runs-dir)")
    return load_network(folder)


def _read_file(path: pathlib.Path) -> keras.Model:
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist")
    if path.suffix != ".keras":
        raise ValueError(f"{path} is neither the folder of a run nor a .keras file")
    check_regular(path)
    try:
        return keras.saving.load_model(path, compile=False)
    except Exception as error:  # Keras raises many kinds for damaged files and unknown classes.
        reason = " ".join(str(error).split())[:300]
        raise ValueError(f"{path} cannot be read as a Keras model: {reason}") from None


class EvaluationImages:
    """The normalized test images of a network, in batches of one size.

    Args:
        network: The network, whose input shape and number of classes must be those of the images.
        dataset: Name of the dataset; `None` stands for that of the run.
        data_dir: Folder of the prepared datasets.
        count: Number of images, the first ones; `None` for all.

    Raises:
        ValueError: If the images do not fit the network, or there are fewer than `count`.
    """

    def __init__(
        self,
        network: TrainedNetwork,
        dataset: str | None = None,
        data_dir: str | None = None,
        count: int | None = None,
    ):
        name = dataset or network.dataset
        if name is None:
            raise value_error("dataset", "the name of the dataset that the file was trained on", "")
        self.images: Dataset = data.load(name, data_dir=data_dir, image_size=network.image_size)
        model, images = network.model, self.images
        ours = (tuple(model.input_shape[1:]), model.output_shape[-1])
        theirs = (tuple(images.input_shape), images.classes)
        fits = all(a in (None, b) for a, b in zip(ours[0], theirs[0], strict=True))
        if not fits or ours[1] != theirs[1]:
            raise value_error(
                "dataset",
                f"a dataset for the network {network.name}, which takes images of {ours[0]} in "
                f"{ours[1]} classes ({name} has {theirs[0]} in {theirs[1]})",
                name,
            )
        self.count = images.evaluation_count
        if count is not None:
            if as_integer("images", count, 1) > self.count:
                raise value_error("images", f"at most the {self.count} test images", count)
            self.count = count
        self.labels = images.labels(images.evaluation_split)[: self.count]
        values = int(np.prod(images.input_shape))
        self.batch_size = max(1, min(LARGEST_BATCH, BATCH_VALUES // values, self.count))

    def picked(self, numbers: Sequence[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns some test images as pixels in [0, 1] and normalized, and their labels.

        Raises:
            TypeError: If the images are streamed.
            ValueError: If a number is out of range.
        """
        images = self.images
        every, labels = images.arrays(images.evaluation_split)
        if not len(numbers):
            raise value_error("images", "numbers of test images", numbers)
        for number in numbers:
            as_integer("images", number, 0, len(labels) - 1)
        chosen = np.array(numbers, "int64")
        pixels = every[chosen].astype("float32")
        return pixels / 255, self._normalized(pixels), labels[chosen]

    def from_files(self, paths: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Returns image files as pixels in [0, 1] and normalized, in the size of the test images.

        The shorter side is resized, and the longer one is cropped to its centre.

        Raises:
            OSError: If a file cannot be read, or is not a BMP, GIF, JPEG or PNG image.
            ValueError: If the test images are not square.
        """
        height, width, channels = self.images.input_shape
        if height != width:
            raise value_error("images", "numbers, because the test images are not square", paths)
        found = []
        for path in paths:
            check_regular(path)
            read_header(path)  # Refuses other formats and too many pixels before decoding.
            try:
                pixels = decode(pathlib.Path(path).read_bytes(), channels)
            except OSError as error:
                raise OSError(f"Cannot use the image {path}: {error}") from None
            found.append(resized(pixels[None], height)[0])
        every = np.stack(found).astype("float32")
        return every / 255, self._normalized(every)

    def _normalized(self, pixels: np.ndarray) -> np.ndarray:
        mean, std = (np.array(each, "float32") for each in (self.images.mean, self.images.std))
        return (pixels.astype("float32") / np.float32(255) - mean) / std

    @property
    def batches(self) -> int:
        """Number of batches."""
        return -(-self.count // self.batch_size)

    def __iter__(self) -> Iterator[tuple[np.ndarray, int]]:
        """Yields each batch with the number of its images that count; the rest repeats the last."""
        size = self.batch_size
        for start, images in zip(range(0, self.count, size), self._parts(), strict=False):
            used = min(size, self.count - start)
            missing = size - len(images)
            if missing > 0:  # A smaller batch would be compiled separately.
                images = np.concatenate([images, np.repeat(images[-1:], missing, axis=0)])
            yield images, used

    def _parts(self) -> Iterator[np.ndarray]:
        images = self.images
        if images.in_memory:
            pixels, _ = images.arrays(images.evaluation_split)
            for start in range(0, self.count, self.batch_size):
                yield self._normalized(pixels[start : start + self.batch_size])
            return
        with data.image_errors():
            for part, _ in data.evaluation_batches(images, batch_size=self.batch_size):
                yield np.asarray(part)


def error_percent(predict: Any, images: EvaluationImages, between: Any = lambda: None) -> float:
    """Returns the error in percent of a function from a batch to logits or probabilities."""
    wrong = 0
    for place, (batch, used) in enumerate(images):
        start = place * images.batch_size
        chosen = np.argmax(np.asarray(predict(batch), "float32")[:used], axis=-1)
        wrong += int(np.sum(chosen != images.labels[start : start + used]))
        between()
    return 100 * wrong / images.count
