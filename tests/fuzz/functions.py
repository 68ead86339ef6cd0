"""The public functions of models, images, files and runs."""

import functools
import pathlib
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from hypothesis import strategies as st

import keras_selectscale as ks
from keras_selectscale import benchmarking, data, experiments, exporting, surgery, training, tuning
from keras_selectscale.data.image_data import in_memory
from keras_selectscale.training import Devices, Recipe, RunFolder
from tests.fuzz.arguments import Target, calls
from tests.fuzz.recipes import text
from tests.fuzz.values import (
    Kind,
    boolean,
    choice,
    instance,
    integer,
    number,
    optional,
    unknown,
)
from tests.fuzz.verdict import Case

LARGEST = 2**63 - 1


@functools.cache
def model() -> keras.Model:
    """Returns a small model with a drop."""
    x = inputs = keras.Input((8, 8, 1))
    for number_ in range(2):
        x = keras.layers.Conv2D(3, 3, activation="relu", name=f"conv{number_}")(x)
    x = ks.SpatialScale(retaining_rate=0.5)(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(2)(x))


@functools.cache
def images() -> data.ImageData:
    """Returns a small dataset."""
    pixels = np.arange(12 * 64, dtype="uint8").reshape(12, 8, 8, 1)
    labels = np.arange(12) % 2
    return in_memory("x", (pixels, labels), (pixels, labels), 2)


def _within(**values: Any) -> None:
    with ks.drops_active(**values):
        pass


def _batch(function: Callable) -> Callable:
    def call(**values: Any) -> None:
        next(iter(function(**values)))

    return call


def _interleaved(**values: Any) -> None:
    benchmarking.interleaved(**values)


def _in_folder(function: Callable) -> Callable:
    def call(**values: Any) -> None:
        pathlib.Path("file").write_text("x")
        pathlib.Path("loop").symlink_to("loop")
        function(**values)

    return call


def cases() -> st.SearchStrategy[Case]:
    """Draws calls of the functions."""
    models = instance(keras.Model, model)
    which = choice("all", "selectscale")
    drops = unknown(None, ks.SpatialScale(retaining_rate=0.5), {1: None})
    sites = {
        "after": unknown("conv", "relu", "conv0", keras.layers.Conv2D, ["conv0"]),
        "depths": optional(unknown((0.0, 0.5), (0.5, 1.0), range(2))),
        "groups": optional(unknown(0, 1, [1, 2], range(1, 3))),
    }
    sets = instance(data.Dataset, images)
    batch, seed = integer(1, LARGEST), integer(0, LARGEST)
    path = Kind(
        lambda value: None if isinstance(value, str) or hasattr(value, "__fspath__") else False,
        st.sampled_from(["x", "a/b", "file", "file/x", "loop", "~nouser", "[x]"]),
    )
    some = unknown(np.zeros((3, 8, 8, 1), "float32"))
    recipe = instance(Recipe, lambda: Recipe("resnet-8", "digits", epochs=1))
    run = instance(RunFolder, lambda: RunFolder("nowhere"))
    search = instance(tuning.Search, lambda: tuning.Search(Recipe("resnet-8", "digits")))
    targets = [
        Target(
            "insert_drops",
            ks.insert_drops,
            {"model": models, "drop": drops, **sites, "summary": boolean(), "copy": boolean()},
            ("model", "drop"),
        ),
        Target("find_drop_sites", surgery.find_drop_sites, {"model": models, **sites}, ("model",)),
        Target(
            "strip_drops",
            ks.strip_drops,
            {
                "model": models,
                "which": which,
                "unreachable": choice("raise", "warn"),
                "copy": boolean(),
                "check": boolean(),
            },
            ("model",),
        ),
        Target(
            "drops_active",
            _within,
            {"model": instance(keras.Layer, model), "which": which},
            ("model",),
        ),
        Target(
            "mc_predict",
            ks.mc_predict,
            {
                "model": models,
                "x": some,
                "samples": integer(1, LARGEST, 2),
                "batch_size": optional(integer(1, LARGEST)),
                "seed": optional(integer(0, 2**31 - 1)),
                "which": which,
                "from_logits": boolean(),
                "quantiles": unknown((), (0.1, 0.9)),
                "return_samples": boolean(),
                "verbose": unknown("auto", 0),
            },
            ("model", "x"),
            costly=True,
        ),
        Target(
            "training_batches",
            _batch(data.training_batches),
            {"data": sets, "batch_size": batch, "seed": seed, "first_step": seed},
            ("data", "batch_size", "seed"),
        ),
        Target(
            "evaluation_batches",
            _batch(data.evaluation_batches),
            {"data": sets, "batch_size": batch, "split": optional(choice("train", "test"))},
            ("data", "batch_size"),
        ),
        Target(
            "steps_per_epoch",
            data.steps_per_epoch,
            {"data": sets, "batch_size": batch},
            ("data", "batch_size"),
        ),
        Target(
            "training_subset",
            data.training_subset,
            {"data": sets, "train_size": integer(2, 12, 12), "seed": seed},
            ("data", "train_size", "seed"),
        ),
        Target(
            "validation_split",
            data.validation_split,
            {"data": sets, "share": number(0, 1, above=True, below=True), "seed": seed},
            ("data", "share", "seed"),
        ),
        Target(
            "data.load",
            _in_folder(data.load),
            {
                "name": text("digits", "cifar10", "folder:x", "tfds:x", "packed:x", "folder:file"),
                "data_dir": optional(path),
                "train_size": optional(integer(1, LARGEST, 40)),
                "seed": seed,
                "image_size": optional(integer(1, LARGEST)),
                "flip": optional(Kind(lambda value: isinstance(value, bool), st.booleans())),
            },
            ("name",),
            others=("dataset", "Dataset", "folder"),
        ),
        Target(
            "pack",
            _in_folder(data.pack),
            {"data": sets, "data_dir": optional(path), "name": optional(text("x"))},
            ("data", "data_dir"),
            others=("file", "loop", "x", "packed"),
        ),
        Target(
            "export",
            _in_folder(exporting.export),
            {
                "model": models,
                "path": path,
                "format": choice("tf_saved_model", "keras", "onnx", "litert"),
                "overwrite": boolean(),
                "safe_mode": boolean(),
            },
            ("model", "path"),
            costly=True,
            others=("file", "loop", "x", "a is not a folder"),
        ),
        Target(
            "verify_export",
            _in_folder(exporting.verify_export),
            {
                "path": path,
                "model": models,
                "format": optional(choice("tf_saved_model", "keras", "onnx", "litert")),
                "safe_mode": boolean(),
            },
            ("model", "path"),
            others=("file", "loop", "x", "export"),
        ),
        Target(
            "evaluate",
            training.evaluate,
            {"model": models, "images": sets, "split": optional(choice("train", "test"))},
            ("model", "images"),
            costly=True,
        ),
        Target(
            "build_model",
            training.build_model,
            {
                "recipe": recipe,
                "images": sets,
                "steps_per_epoch": integer(1, LARGEST),
                "jit": optional(Kind(lambda value: isinstance(value, bool), st.booleans())),
            },
            ("recipe", "images", "steps_per_epoch"),
            costly=True,
        ),
        Target(
            "train",
            training.train,
            {
                "recipe": recipe,
                "run": run,
                "images": sets,
                "devices": optional(instance(Devices, Devices)),
                "progress": unknown(None),
                "label": unknown(""),
                "epoch_lines": unknown(True),
                "tensorboard": unknown(False),
                "checkpoint_seconds": number(0, 1e308),
                "callbacks": unknown(()),
            },
            ("recipe", "run", "images"),
            costly=True,
        ),
        Target(
            "load_checkpoint",
            training.load_checkpoint,
            {"run": run},
            ("run",),
            others=("nowhere",),
        ),
        Target(
            "make_report",
            tuning.make_report,
            {"folder": instance(tuning.SearchFolder, lambda: tuning.SearchFolder("nowhere"))},
            ("folder",),
        ),
        Target(
            "interleaved",
            _interleaved,
            {
                "sides": unknown({"a": lambda: None}),
                "rounds": integer(1, LARGEST, 2),
                "seconds": number(0, 1e308, above=True),
            },
            ("sides", "rounds", "seconds"),
            costly=True,
        ),
        Target(
            "run_bench",
            benchmarking.run_bench,
            {"options": instance(benchmarking.BenchOptions, benchmarking.BenchOptions)},
            ("options",),
            costly=True,
        ),
        Target(
            "load_for_winner",
            tuning.load_for_winner,
            {"search": search, "data_dir": optional(path)},
            ("search",),
            costly=True,
        ),
        Target(
            "run_search",
            tuning.run_search,
            {
                "search": search,
                "folder": instance(tuning.SearchFolder, lambda: tuning.SearchFolder("nowhere")),
                "images": sets,
            },
            ("search", "folder", "images"),
            costly=True,
        ),
        Target(
            "DropTuner",
            tuning.DropTuner,
            {
                "hypermodel": Kind(
                    lambda value: None if callable(value) else False,
                    st.just(lambda hp: model()),
                ),
                "tuner": choice("random", "bayesian", "hyperband", "grid"),
                "directory": path,
                "trials": optional(integer(1, 2**31 - 1)),
                "objective": unknown(None, "val_loss"),
                "seeds": integer(1, 2**31 - 1),
                "max_epochs": integer(1, 2**31 - 1),
                "early_stopping": optional(integer(1, 2**31 - 1)),
                "figure4": Kind(lambda value: isinstance(value, bool), st.just(False)),
                "prune_margin": unknown(None, 0.0, 2.5),
                "seed": integer(1, 2**31 - 1),
                "wait_seconds": number(0, 1e308, above=True),
            },
            ("hypermodel", "tuner", "directory"),
            costly=True,
        ),
        Target(
            "draw_comparison",
            _in_folder(experiments.draw_comparison),
            {"summary": unknown({}), "path": path},
            ("summary", "path"),
            costly=True,
        ),
    ]
    return calls(targets)
