"""What the tests read off a model."""

import keras
import numpy as np


def trainable_parameters(model):
    return sum(int(np.prod(w.shape)) for w in model.trainable_weights)


def drops(model, kind):
    return [layer for layer in model.layers if isinstance(layer, kind)]


def source_of(model, name):
    """Returns the names of the layers whose outputs the layer takes."""
    inputs = model.get_layer(name).input
    inputs = inputs if isinstance(inputs, list) else [inputs]
    return [tensor._keras_history.operation.name for tensor in inputs]


def shape_of(model, name):
    return model.get_layer(name).output.shape[1:]


def outputs(model, x, **kwargs):
    return keras.ops.convert_to_numpy(model(x, **kwargs))
