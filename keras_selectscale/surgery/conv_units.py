"""Whole units of a convolution, its normalisation and its activation."""

from collections import defaultdict
from typing import Any

import keras

from keras_selectscale.surgery import graph

CONVOLUTIONS = tuple(
    getattr(keras.layers, name)
    for name in (
        *(f"Conv{rank}D" for rank in (1, 2, 3)),
        *(f"Conv{rank}DTranspose" for rank in (1, 2, 3)),
        *(f"{kind}Conv{rank}D" for kind in ("Depthwise", "Separable") for rank in (1, 2)),
    )
)
NORMALIZATIONS = (
    keras.layers.BatchNormalization,
    keras.layers.GroupNormalization,
    keras.layers.LayerNormalization,
    keras.layers.RMSNormalization,
    keras.layers.UnitNormalization,
)
# Layers and functions of `keras.ops` by the names of their classes, which differ in case alone.
ACTIVATIONS = {
    "activation",
    "celu",
    "elu",
    "gelu",
    "hardshrink",
    "hardsigmoid",
    "hardsilu",
    "hardswish",
    "hardtanh",
    "leakyrelu",
    "mish",
    "prelu",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "softplus",
    "softsign",
    "swish",
    "tanh",
}


def is_activation(operation: Any) -> bool:
    """Returns whether `operation` is an activation: a layer, or a function of `keras.ops`."""
    return type(operation).__name__.lower() in ACTIVATIONS


def unit_ends(model: keras.Model) -> set[int]:
    """Returns the ids of the nodes with which a unit ends: behind them a drop may stand.

    A unit begins with a convolution. A normalisation and an activation belong to it, in either
    order, while each takes the output of the one before and nothing else does: where the
    activation comes only after an addition, the unit ends before it, and so it does where its
    output goes to several places or out of the model.
    """
    consumers = defaultdict(list)
    for node in graph.nodes(model):
        for tensor in {id(x) for x in node.input_tensors}:
            consumers[tensor].append(node)
    outputs = {id(x) for x in graph.functional(model).outputs}

    def follower(node: Any) -> Any:
        tensor = node.outputs[0]
        takers = consumers[id(tensor)]
        alone = len(takers) == 1 and len(takers[0].input_tensors) == 1
        return takers[0] if alone and id(tensor) not in outputs else None

    ends = set()
    for node in graph.nodes(model):
        if not isinstance(node.operation, CONVOLUTIONS):
            continue
        normalized = activated = False
        while (following := follower(node)) is not None:
            if isinstance(following.operation, NORMALIZATIONS) and not normalized:
                normalized = True
            elif is_activation(following.operation) and not activated:
                activated = True
            else:
                break
            node = following
        ends.add(id(node))
    return ends
