"""The low-data protocol: 5,000 images of CIFAR-10, always the same ones, and no published error."""

import dataclasses
from collections.abc import Iterator
from typing import Any

from keras_selectscale.recipes.controls import CONTROL_SCORES
from keras_selectscale.recipes.published_cell import PublishedCell
from keras_selectscale.training import Recipe

RUNS = 5
DATASET = "subset:5000:cifar10"
# Without a drop, ResNet-20 then has learned nearly all of its training images.
EPOCHS = 100
PRECISION = "mixed_bfloat16"
# For ResNet-20, chosen on images held out of the 5,000; see docs/low-data.md.
RATES: dict[str, dict[str, dict[str, Any]]] = {
    "resnet-20": {
        "none": {},
        "dropout": {"retaining_rate": 0.9},
        "spatial-dropout": {"retaining_rate": 0.95},
        "spatial-scale": {"retaining_rate": 0.4},
        "selectout": {"top_rate": 0.2, "retaining_rate": 0.95},
        "selectscale": {"top_rate": 0.1, "retaining_rate": 0.7},
    },
    "wrn-20-4": {
        "none": {},
        "dropout": {"retaining_rate": 0.9},
        "spatial-dropout": {"retaining_rate": 0.9},
        "spatial-scale": {"retaining_rate": 0.4},
        "selectout": {"top_rate": 0.2, "retaining_rate": 0.9},
        "selectscale": {"top_rate": 0.2, "retaining_rate": 0.0},
    },
}
CONTROLLED = ("resnet-20",)
NOT_SEARCHED = "the rates of Table 1 (Selectout: of Section 2.1), not searched for 5,000 images"


def cells() -> Iterator[PublishedCell]:
    """Yields the cells of the protocol, by network."""
    for network, methods in RATES.items():
        recipes = {
            method: Recipe(
                network=network,
                dataset=DATASET,
                drop=method,
                epochs=EPOCHS,
                precision=PRECISION,
                **rates,
            )
            for method, rates in methods.items()
        }
        if network in CONTROLLED:
            drop = recipes["selectscale"]
            for score in CONTROL_SCORES:
                recipes[f"selectscale-{score}"] = dataclasses.replace(drop, score=score)
        for name, recipe in recipes.items():
            note = CONTROL_SCORES.get(name.removeprefix("selectscale-"), "")
            if network not in CONTROLLED and recipe.drop != "none":
                note = NOT_SEARCHED
            yield PublishedCell(
                name=f"lowdata/{network}/{name}",
                source="low-data protocol",
                recipe=recipe,
                error=None,
                runs=RUNS,
                note=note,
            )
