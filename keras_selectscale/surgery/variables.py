"""Pairs the variables of a layer with those of its copy."""

from typing import Any

import keras

from keras_selectscale.surgery import graph

# What to do about a layer that cannot be copied.
REUSE = "With `copy=False` the new model reuses the layers of the original."
# Flags that a layer computes with quantized weights; Keras sets them when it loads a file.
CALIBRATED = ("is_gptq_calibrated", "is_awq_calibrated")


def follow_changes(original: keras.Layer, twin: keras.Layer) -> None:
    """Quantizes the copy and enables LoRA in the same layers as in the original.

    A layer's own config records both, but that of a composite layer (such as attention) does not
    record what happened to its sublayers after it was built.
    """
    for one, other in graph.layer_pairs(original, twin):
        mode = getattr(one, "quantization_mode", None)
        if mode and not other.quantization_mode:
            other.quantize(mode, config=getattr(one, "quantization_config", None))
        if getattr(one, "lora_enabled", False):
            if not other.lora_enabled:
                other.enable_lora(one.lora_rank)
            other.lora_alpha = one.lora_alpha  # Keras does not pass it on when it builds a layer.
        for flag in CALIBRATED:
            if hasattr(one, flag):
                setattr(other, flag, getattr(one, flag))
        if mode and hasattr(other, "_kernel") and not hasattr(one, "_kernel"):
            # Calibration discards the float kernel. No public call does that to a copy: the public
            # `kernel` is a property without a deleter.
            del other._kernel


def before_calibration(layer: keras.Layer, config: dict[str, Any]) -> dict[str, Any]:
    """Returns the config without a quantization that has not taken effect yet.

    Until GPTQ or AWQ has calibrated a layer, it computes with its float kernel, which a layer built
    from its config would not have.
    """
    waits = getattr(layer, "quantization_mode", None) in ("gptq", "awq") and not any(
        getattr(layer, flag, False) for flag in CALIBRATED
    )
    if not waits:
        return config
    source = layer.dtype_policy.get_config()["source_name"]
    return {**config, "dtype": source, "quantization_config": None}


def variable_pairs(original: keras.Layer, twin: keras.Layer) -> list[tuple[Any, Any]]:
    """Returns each variable of a layer with that of its copy, sublayers included.

    Variables are paired by layer and name, because their order depends on how a layer was made: a
    layer built with a float8 policy creates its scales before its kernel, and a layer quantized
    later creates them after it. Variables whose names Keras generated are paired by position.

    Raises:
        ValueError: If the variables differ in number or shape.
    """
    pairs: dict[int, tuple[Any, Any]] = {}
    for one, other in graph.layer_pairs(original, twin):
        theirs, ours = _own_variables(one), _own_variables(other)
        if sorted(v.name for v in theirs) == sorted(v.name for v in ours):
            theirs.sort(key=lambda v: v.name)
            ours.sort(key=lambda v: v.name)
        pairs.update((id(pair[0]), pair) for pair in zip(theirs, ours, strict=False))
    found = list(pairs.values())
    total = len({id(target) for _, target in found})
    if not total == len(original.variables) == len(twin.variables) or any(
        tuple(source.shape) != tuple(target.shape) for source, target in found
    ):
        raise ValueError(
            f"The layer {original.name!r} (of type {type(original).__name__}) cannot be copied: "
            f"its copy has variables of the shapes {[tuple(v.shape) for v in twin.variables]}, not "
            f"{[tuple(v.shape) for v in original.variables]}. {REUSE}"
        )
    return found


def _own_variables(layer: keras.Layer) -> list[Any]:
    """Returns the variables of a layer without those of its sublayers."""
    inside = {id(v) for sublayer in graph.sublayers(layer) for v in sublayer.variables}
    return [v for v in layer.variables if id(v) not in inside]
