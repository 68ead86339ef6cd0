"""How much of an image a network's class activation maps cover, over a whole test set."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from keras_selectscale import stopping
from keras_selectscale.experiments.results import Interval, interval
from keras_selectscale.experiments.trained_network import EvaluationImages, TrainedNetwork
from keras_selectscale.surgery.class_activation import ClassActivation

# A map covers the positions that reach this share of its maximum.
HALF = 0.5


class MapMeasures(NamedTuple):
    """Two numbers for each map, NaN for a map without a positive value.

    Attributes:
        share: Share of the positions at which the map is at least half of its maximum.
        entropy: Entropy in nats of the positive part of the map, as a distribution over positions.
    """

    share: np.ndarray
    entropy: np.ndarray


def measures(maps: np.ndarray) -> MapMeasures:
    """Returns the measures of maps of shape (images, height, width)."""
    flat = np.maximum(maps.reshape(len(maps), -1).astype("float64"), 0.0)
    highest, total = flat.max(1), flat.sum(1)
    empty = highest <= 0
    share = (flat >= HALF * highest[:, None]).mean(1)
    p = flat / np.where(empty, 1.0, total)[:, None]
    entropy = -np.sum(p * np.log(np.where(p > 0, p, 1.0)), axis=1)
    return MapMeasures(np.where(empty, np.nan, share), np.where(empty, np.nan, entropy))


def measure_network(
    network: TrainedNetwork,
    images: EvaluationImages,
    of_labels: bool = True,
    on_batch: Callable[[], None] = lambda: None,
) -> MapMeasures:
    """Returns the measures of the maps of all test images.

    Args:
        network: The network.
        images: Its test images.
        of_labels: Whether to take the map of the true class of each image, so that two networks are
            compared on the same classes; otherwise that of the predicted class.
        on_batch: Called after each batch.
    """
    activation = ClassActivation(network.model)
    found = []
    for place, (batch, used) in enumerate(images):
        start = place * images.batch_size
        labels = None
        if of_labels:
            labels = np.zeros(len(batch), "int64")
            labels[:used] = images.labels[start : start + used]
        maps = activation(batch, labels, batch_size=len(batch)).maps[:used]
        found.append(measures(maps))
        on_batch()
        stopping.check()
    return MapMeasures(*(np.concatenate(parts) for parts in zip(*found, strict=True)))


def summary(names: Sequence[str], found: Sequence[MapMeasures]) -> dict[str, Any]:
    """Returns means over the images with 95% intervals (Student's t), and paired differences.

    The differences are those of each network from the first, image by image. The intervals are
    about the images; they say nothing about other trainings of the same networks.
    """
    networks: dict[str, Any] = {}
    for name, one in zip(names, found, strict=True):
        networks[name] = {key: _mean(values) for key, values in one._asdict().items()}
        networks[name]["maps without a positive value"] = int(np.isnan(one.share).sum())
    differences = {
        f"{name} - {names[0]}": {
            key: _mean(values - getattr(found[0], key)) for key, values in one._asdict().items()
        }
        for name, one in zip(names[1:], found[1:], strict=True)
    }
    return {"images": len(found[0].share), "networks": networks, "differences": differences}


def _mean(values: np.ndarray) -> dict[str, float | None]:
    known = values[~np.isnan(values)]
    result = interval(known) if len(known) else Interval(float("nan"), None, None)
    return result._asdict()
