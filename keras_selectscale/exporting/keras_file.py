"""Keras files of a model without its drops, for where this package is not installed."""

import json
import pathlib
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np

from keras_selectscale.exporting.exported_file import Consumer, ExportedFile
from keras_selectscale.exporting.inference import output_names
from keras_selectscale.exporting.signature import Signature, signature_of
from keras_selectscale.surgery.drop_kinds import acts, find_drops
from keras_selectscale.surgery.strip import without_drops

PACKAGE = "keras_selectscale"


def write_keras(model: keras.Model, signature: Signature, path: pathlib.Path) -> None:
    """Writes a model without its drops and without what belongs to its training.

    A subclassed model that holds no drop is written as it is.
    """
    if _acting_drops(model) or isinstance(model, keras.Sequential | keras.Function):
        model = without_drops(model)
    if not model.compiled:
        model.save(path)
        return
    optimizer = model.optimizer
    model.optimizer, model.compiled = None, False
    try:
        model.save(path)
    finally:
        model.optimizer, model.compiled = optimizer, True


def read_keras(path: pathlib.Path) -> ExportedFile:
    """Loads a Keras file, and looks into its configuration for what needs this package."""
    with zipfile.ZipFile(path) as archive:
        config = json.loads(archive.read("config.json"))
    ours = sorted({name for name, origin in _objects(config) if PACKAGE in origin})
    reasons = []
    if ours:
        reasons.append(f"It needs {PACKAGE} where it is loaded, for {', '.join(ours)}.")
    if config.get("compile_config"):
        reasons.append("It holds the compilation of its training.")
    model = keras.models.load_model(path)
    signature = signature_of(model)

    def run(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return run_model(model, signature, inputs)

    return ExportedFile(
        nodes=[type(layer).__name__ for layer in model._flatten_layers(include_self=False)],
        drops=tuple(sorted({*ours, *(type(drop).__name__ for drop in _acting_drops(model))})),
        # Within two nested models, two weights may have one path.
        weights={
            f"{number}: {weight.path}": keras.ops.convert_to_numpy(weight.value)
            for number, weight in enumerate(model.weights)
        },
        load=lambda: Consumer(list(signature.names), run),
        reasons=tuple(reasons),
    )


def _acting_drops(model: keras.Model) -> list[keras.Layer]:
    return list(filter(acts, find_drops(model)))


def run_model(
    model: keras.Model, signature: Signature, inputs: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Returns the outputs of a model in inference, by name, on any backend."""
    tensors = [keras.ops.convert_to_tensor(inputs[name]) for name in signature.names]
    outputs = model(*signature.pack(tensors), training=False)
    flat = keras.tree.flatten(outputs)
    return {
        name: keras.ops.convert_to_numpy(value)
        for name, value in zip(output_names(model, outputs), flat, strict=True)
    }


def _objects(config: Any) -> Iterator[tuple[str, str]]:
    """Yields the class of each object in a configuration and where it comes from."""
    if isinstance(config, dict):
        if isinstance(config.get("class_name"), str):
            origin = f"{config.get('module')} {config.get('registered_name')}"
            yield config["class_name"], origin
        for value in config.values():
            yield from _objects(value)
    elif isinstance(config, list):
        for value in config:
            yield from _objects(value)
