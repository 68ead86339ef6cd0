"""Recipes and the other descriptions of work: searches, comparisons, devices, benchmarks."""

import dataclasses
import json
from typing import Any

import keras
import keras_tuner
import numpy as np
from hypothesis import strategies as st

from keras_selectscale import models, recipes, tuning
from keras_selectscale.benchmarking import BenchOptions
from keras_selectscale.data import Augmentation, ImageData, InceptionAugmentation
from keras_selectscale.experiments import Comparison, Reproduction
from keras_selectscale.layers.methods import METHODS
from keras_selectscale.training import Devices, Recipe, RunFolder
from keras_selectscale.tuning import DropHyperModel, RateSpace, Search, SearchFolder
from tests.fuzz.arguments import Target, calls
from tests.fuzz.values import (
    Kind,
    boolean,
    choice,
    instance,
    integer,
    names,
    number,
    optional,
    sequence,
    unknown,
)
from tests.fuzz.verdict import Case

BASE = Recipe("resnet-8", "digits", epochs=1)
LARGEST = 2**31 - 1


def file_number(low: float, high: float, above: bool = False) -> Kind:
    """Returns the kind of numbers that a file can hold: of Python or NumPy."""
    kind = number(low, high, above)

    def allows(value: Any) -> bool:
        return isinstance(value, int | float | np.number) and bool(kind.allows(value))

    return Kind(allows, kind.good)


def text(*good: str) -> Kind:
    """Returns the kind of strings."""
    return Kind(lambda value: None if isinstance(value, str) else False, st.sampled_from(good))


def _drops(*methods: str) -> Kind:
    every = names(METHODS)
    return Kind(
        lambda value: None if isinstance(value, str) else every.allows(value),
        st.sampled_from([(one,) for one in methods] + [methods]),
    )


RECIPE = {
    "network": text("resnet-8", "vgg-16"),
    "dataset": text("digits", "cifar10", "tfds:x", "folder:x", "subset:20:digits"),
    "drop": choice(*METHODS),
    "top_rate": optional(file_number(0, 1, above=True)),
    "retaining_rate": optional(file_number(0, 1)),
    "score": optional(choice("max", "average_pool", "global_average", "lowest", "random")),
    "curriculum": choice("none", "linear", "exponential"),
    "group_factors": optional(
        Kind(
            lambda value: None if isinstance(value, tuple | list) else False,
            st.sampled_from([((1, 0.5),), [[3, 1.0], [2, 0.0]]]),
        )
    ),
    "epochs": integer(1, LARGEST),
    "batch_size": integer(1, LARGEST),
    "learning_rate": file_number(0, 1e38, above=True),
    "schedule": choice("step", "cosine"),
    "milestones": sequence(number(0, 1, above=True, below=True)),
    "decay_factor": file_number(0, 1, above=True),
    "momentum": file_number(0, 1),
    "weight_decay": file_number(0, 1e38),
    "train_size": optional(integer(1, LARGEST)),
    "image_size": optional(integer(1, LARGEST)),
    "precision": choice("float32", "mixed_bfloat16"),
    "seed": integer(0, LARGEST),
    "last_drop": choice("before_addition", "after_addition"),
}
RATES = {
    "top_rates": optional(sequence(number(0, 1, above=True), 1)),
    "retaining_rates": optional(sequence(number(0, 1), 1)),
}


def _recipe(**values: Any) -> None:
    """Makes a recipe, and whatever is made must be written and read as it was."""
    made = Recipe(**values)
    written = json.loads(json.dumps(made.as_json(), allow_nan=False))
    if Recipe.from_json(written) != made:
        raise AssertionError("written and read, it is another recipe")


def _search(**values: Any) -> None:
    made = Search(**values)
    if Search.from_json(json.loads(json.dumps(made.as_json(), allow_nan=False))) != made:
        raise AssertionError("written and read, it is another search")


def _builder(drop: Any = None) -> keras.Model:
    return models.CifarResNet(8, drop=drop, input_shape=(8, 8, 1))


def _options(**values: Any) -> None:
    json.dumps(BenchOptions(**values).as_json(), allow_nan=False)


def cases() -> st.SearchStrategy[Case]:
    """Draws descriptions of work."""
    cells = [recipes.get(name) for name in recipes.names()[:2]]
    recipe = instance(Recipe, lambda: BASE)
    tune = Kind(
        lambda value: None if isinstance(value, dict) else False,
        st.sampled_from([{}, {"learning_rate": (0.1, 0.2)}, {"schedule": ["step", "cosine"]}]),
    )
    jit = optional(Kind(lambda value: isinstance(value, bool), st.booleans()))
    bench = {field.name: unknown(field.default) for field in dataclasses.fields(BenchOptions)}
    bench |= {
        "batch_size": integer(1, LARGEST),
        "rounds": integer(1, LARGEST),
        "seconds": number(0, 3600, above=True),
        "memory": Kind(lambda value: isinstance(value, bool), st.booleans()),
        "quick": Kind(lambda value: isinstance(value, bool), st.booleans()),
        "seed": integer(0, LARGEST),
        "sections": names(("layers", "steps", "growth")),
        "precisions": names(("float32", "bfloat16", "float16")),
    }
    path = Kind(
        lambda value: None if isinstance(value, str) or hasattr(value, "__fspath__") else False,
        st.sampled_from(["x", "a/b"]),
    )
    pixels, labels = np.zeros((6, 8, 8, 1), "uint8"), np.arange(6) % 2
    array = instance(np.ndarray, lambda: pixels)
    images = {
        "name": text("x"),
        "train_images": array,
        "train_labels": instance(np.ndarray, lambda: labels),
        "test_images": array,
        "test_labels": instance(np.ndarray, lambda: labels),
        "classes": integer(2, 2**20),
        "mean": sequence(number(-1e308, 1e308), 1, 1),
        "std": sequence(number(0, 1e308, above=True), 1, 1),
        "augmentation": instance(Augmentation, lambda: Augmentation(1, False)),
    }
    targets = [
        Target("Recipe", _recipe, RECIPE, ("network", "dataset")),
        Target("Recipe", _recipe, RECIPE, ("network", "dataset")),
        Target("Recipe", _recipe, RECIPE, ("network", "dataset")),
        Target(
            "Search",
            _search,
            {
                "recipe": recipe,
                "tuner": choice("random", "bayesian", "hyperband", "grid"),
                "methods": _drops("selectscale", "none"),
                **RATES,
                "tune": tune,
                "trials": optional(integer(1, 100_000)),
                "seeds": integer(1, 1000),
                "validation_share": number(0, 1, above=True, below=True),
                "early_stopping": optional(integer(1, 10**6)),
                "figure4": Kind(lambda value: isinstance(value, bool), st.just(False)),
                "prune_margin": unknown(None, 0.0, 2.5),
                "seed": integer(1, LARGEST),
                "jit": jit,
            },
            ("recipe",),
            others=("learning_rate", "schedule"),
        ),
        Target("RateSpace", RateSpace, {"methods": _drops("selectout", "none"), **RATES}),
        Target(
            "drop_space",
            tuning.drop_space,
            {
                "hp": instance(keras_tuner.HyperParameters, keras_tuner.HyperParameters),
                "methods": _drops("selectscale", "drop-block"),
                **RATES,
                "seed": optional(integer(0, LARGEST)),
            },
            ("hp",),
            others=("retaining_rate",),
        ),
        Target(
            "DropHyperModel",
            DropHyperModel,
            {
                "build": Kind(lambda value: None if callable(value) else False, st.just(_builder)),
                "methods": _drops("selectscale", "none"),
                "recipe": optional(recipe),
                **RATES,
                "tune": optional(tune),
                "loss": unknown(None),
                "jit": jit,
                "name": unknown(None, "x"),
            },
            ("build",),
        ),
        Target(
            "Comparison",
            Comparison,
            {
                "base": recipe,
                "seeds": integer(1, 1000),
                "methods": _drops("selectscale", "none"),
            },
            ("base", "seeds"),
        ),
        Target(
            "Reproduction",
            Reproduction,
            {
                "published": Kind(
                    lambda value: None if isinstance(value, tuple | list) else False,
                    st.sampled_from([tuple(cells), cells[:1]]),
                ),
                "runs": optional(integer(1, 1000)),
                "epochs": optional(integer(1, LARGEST)),
                "train_size": optional(integer(1, LARGEST)),
                "precision": optional(choice("float32", "mixed_bfloat16")),
            },
            ("published",),
        ),
        Target(
            "Devices",
            Devices,
            {
                "distribute": choice("none", "mirrored"),
                "coordinator": optional(text("x:1")),
                "processes": optional(integer(1, 2**63 - 1)),
                "process": optional(integer(0, 2**63 - 1)),
                "cpu_devices": optional(integer(1, 2**63 - 1)),
                "steps_per_dispatch": optional(integer(1, 2**63 - 1)),
                "jit": jit,
            },
        ),
        Target("BenchOptions", _options, bench),
        Target(
            "Augmentation",
            Augmentation,
            {"padding": integer(0, 2**16), "flip": boolean()},
            ("padding", "flip"),
        ),
        Target(
            "InceptionAugmentation",
            InceptionAugmentation,
            {
                "smallest_area": number(0, 1, above=True),
                "widest_aspect": number(1, 1e308),
                "flip": boolean(),
                "lighting": number(0, 1e308),
            },
        ),
        Target("ImageData", ImageData, images, tuple(images)),
        Target("RunFolder", RunFolder, {"path": path}, ("path",)),
        Target("SearchFolder", SearchFolder, {"path": path}, ("path",)),
        Target("recipes.get", recipes.get, {"name": text(*recipes.names()[:3])}, ("name",)),
        Target("recipes.select", recipes.select, {"name": text("table1")}, ("name",)),
    ]
    return calls(targets)
