"""What a run can record besides its history: what its drops select, and maps of its epochs."""

from collections.abc import Sequence

import numpy as np

from keras_selectscale import data as datasets
from keras_selectscale.checks import as_integer, value_error
from keras_selectscale.data import Dataset
from keras_selectscale.data.device_batches import EvaluationSequence
from keras_selectscale.surgery import ActivationMapHistory, DropDiagnostics
from keras_selectscale.surgery.map_history import MOST_EPOCHS
from keras_selectscale.training.devices import Devices
from keras_selectscale.training.recipe import Recipe
from keras_selectscale.training.run_folder import RunFolder

IMAGES, MAP_IMAGES = 64, 6


def run_diagnostics(
    recipe: Recipe, run: RunFolder, images: Dataset, devices: Devices
) -> DropDiagnostics:
    """Returns a callback that observes the drops on the first 64 training images.

    It writes `drops.csv` into the folder of the run, and takes at most 2% of the time.

    Raises:
        ValueError: If the recipe has no drop, or the run has several devices.
    """
    if recipe.drop == "none":
        raise value_error("diagnostics", "used with a drop", True)
    if devices.distribute != "none" or devices.is_several:
        raise value_error("diagnostics", "used on one device", True)
    if images.in_memory:
        batch = EvaluationSequence(images, IMAGES, "train")[0][0]
    else:
        with datasets.image_errors():
            first = next(iter(images.evaluation_batches(batch_size=IMAGES, split="train")))
        batch = np.asarray(first[0])
    return DropDiagnostics(batch, every=None, path=run.drops_path)


def run_maps(
    epochs: Sequence[int], run: RunFolder, images: Dataset, devices: Devices
) -> ActivationMapHistory:
    """Returns a callback that keeps the maps of the first six test images in `maps.npz`.

    Raises:
        ValueError: If an epoch is below 1, the run has several devices, or its images are
            streamed.
    """
    for epoch in epochs:
        as_integer("maps_at", epoch, 1, MOST_EPOCHS)
    if devices.distribute != "none" or devices.is_several:
        raise value_error("maps_at", "used on one device", epochs)
    if not images.in_memory:
        raise value_error("maps_at", "used with images in memory", epochs)
    normalized, _ = EvaluationSequence(images, MAP_IMAGES)[0]
    pixels = images.arrays(images.evaluation_split)[0][:MAP_IMAGES].astype("float32") / 255
    return ActivationMapHistory(
        normalized,
        epochs,
        path=run.maps_path,
        pixels=pixels,
        class_names=images.class_names,
    )
