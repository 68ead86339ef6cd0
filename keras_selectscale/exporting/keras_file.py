"""Keras files of a model without its drops, which load where this package is not installed."""

import contextlib
import json
import pathlib
import zipfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras
import numpy as np

from keras_selectscale.exporting.formats import Consumer, ExportedFile, Format, register
from keras_selectscale.exporting.inference import run_model
from keras_selectscale.exporting.signature import Signature, signature_of
from keras_selectscale.surgery import graph
from keras_selectscale.surgery.drop_kinds import acts, all_layers, find_drops
from keras_selectscale.surgery.round_trip import failing_layer
from keras_selectscale.surgery.strip import without_drops

PACKAGE = "keras_selectscale"


def write_keras(model: keras.Model, signature: Signature, path: pathlib.Path) -> None:
    """Writes a model without its drops and without its training state.

    A subclassed model that holds no drop is written as it is. Keras merges LoRA updates into the
    weights that it saves, so the file needs no LoRA.
    """
    if _acting_drops(model) or graph.is_model(model):
        model = without_drops(model)
    with _uncompiled(model), _without_lora_in_configs(model):
        model.save(path)


@contextlib.contextmanager
def _uncompiled(model: keras.Model) -> Iterator[None]:
    if not model.compiled:
        yield
        return
    optimizer = model.optimizer
    model.optimizer, model.compiled = None, False
    try:
        yield
    finally:
        model.optimizer, model.compiled = optimizer, True


@contextlib.contextmanager
def _without_lora_in_configs(model: keras.Model) -> Iterator[None]:
    changed = _with_lora(model)
    for layer in changed:
        object.__setattr__(layer, "get_config", _without_lora(layer.get_config))
    try:
        yield
    finally:
        for layer in changed:
            object.__delattr__(layer, "get_config")


def _without_lora(get_config: Callable[[], dict[str, Any]]) -> Callable[[], dict[str, Any]]:
    def without() -> dict[str, Any]:
        return {k: v for k, v in get_config().items() if k not in ("lora_rank", "lora_alpha")}

    return without


def read_keras(path: pathlib.Path, safe_mode: bool = True) -> ExportedFile:
    """Loads a Keras file, and searches its configuration for objects that need this package.

    Raises:
        ValueError: If it holds Python code and `safe_mode` is true.
    """
    with zipfile.ZipFile(path) as archive:
        config = json.loads(archive.read("config.json"))
    if safe_mode and (owners := sorted(set(_owners_of_code(config, "the model")))):
        raise ValueError(
            f"it holds Python code, a lambda in {', '.join(owners)}: only safe_mode=False loads "
            "it, which runs that code"
        )
    ours = sorted({name for name, origin in _objects(config) if PACKAGE in origin})
    reasons = []
    if ours:
        reasons.append(f"It needs {PACKAGE} where it is loaded, for {', '.join(ours)}.")
    if config.get("compile_config"):
        reasons.append("It holds the compilation of its training.")
    model = keras.models.load_model(path, safe_mode=safe_mode)
    signature = signature_of(model)

    def run(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return run_model(model, signature, inputs)

    return ExportedFile(
        nodes=[type(layer).__name__ for layer in all_layers(model) if layer is not model],
        drops=tuple(sorted({*ours, *(type(drop).__name__ for drop in _acting_drops(model))})),
        weights=saved_weights(model),
        load=lambda: Consumer(list(signature.names), run),
        reasons=tuple(reasons),
    )


def saved_weights(model: keras.Model) -> dict[str, np.ndarray]:
    """Returns the weights of a model, as Keras saves them, without those of its drops."""
    found: dict[str, Any] = {}
    elsewhere = {id(weight) for drop in find_drops(model) for weight in drop.weights}
    for number, layer in enumerate(_with_lora(model)):
        store: dict[str, Any] = {}
        layer.save_own_variables(store)  # This merges the update.
        elsewhere |= {id(weight) for weight in layer.weights}
        found |= {f"{layer.name} {number}/{key}": value for key, value in store.items()}
    # Two weights inside two nested models may have the same path.
    found |= {
        f"{number}: {weight.path}": weight.value
        for number, weight in enumerate(model.weights)
        if id(weight) not in elsewhere
    }
    return {name: keras.ops.convert_to_numpy(value) for name, value in found.items()}


def _refusal(model: keras.Model) -> str | None:
    for layer in _with_lora(model):
        if layer.quantization_mode is not None:
            return (
                f"the layer {layer.name!r} has LoRA on weights that are quantized "
                f"({layer.quantization_mode}): Keras merges the two on saving and rounds the "
                "result, which is another model. Merge before quantizing"
            )
    return None


def _explanation(model: keras.Model) -> str | None:
    """Returns which layer changes when it is saved and loaded."""
    return failing_layer(without_drops(model)) if graph.is_model(model) else None


def _with_lora(model: keras.Model) -> list[Any]:
    return [layer for layer in all_layers(model) if getattr(layer, "lora_enabled", False)]


def _acting_drops(model: keras.Model) -> list[keras.Layer]:
    return list(filter(acts, find_drops(model)))


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


def _owners_of_code(config: Any, owner: str) -> Iterator[str]:
    """Yields the layer around each piece of Python code in a configuration."""
    if isinstance(config, dict):
        if config.get("class_name") == "__lambda__":
            yield owner
        inside = config.get("config")
        if isinstance(inside, dict) and isinstance(inside.get("name"), str):
            owner = f"the layer {inside['name']!r}"
        for value in config.values():
            yield from _owners_of_code(value, owner)
    elif isinstance(config, list):
        for value in config:
            yield from _owners_of_code(value, owner)


register(
    Format(
        name="keras",
        title="Keras file",
        suffix=".keras",
        default_name="model.keras",
        packages={},
        on_tensorflow=False,
        in_float32=False,
        tolerance=0.0,
        write=write_keras,
        read=read_keras,
        refusal=_refusal,
        explanation=_explanation,
    )
)
