"""Computes layers with operations that LiteRT has if Keras' own computation needs others.

LiteRT has no grouped or dilated 3-D convolution, no dilated transposed convolution and no 3-D
pooling. All of these can be composed of operations that it has.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import keras
from keras import ops

from keras_selectscale.surgery.drop_kinds import all_layers

layers = keras.layers


@contextlib.contextmanager
def composed(model: keras.Layer) -> Iterator[None]:
    """Replaces the computation of such layers within the context."""
    changes: list[tuple[keras.Layer, str, Callable]] = []
    for layer in all_layers(model):
        if getattr(layer, "data_format", None) != "channels_last":
            continue
        if isinstance(layer, layers.Conv3D) and (layer.groups > 1 or max(layer.dilation_rate) > 1):
            changes.append((layer, "convolution_op", _convolution(layer)))
        elif _is_dilated_transpose(layer):
            changes.append((layer, "call", _transposed_convolution(layer)))
        elif isinstance(layer, layers.MaxPooling3D | layers.AveragePooling3D):
            changes.append((layer, "call", _pooling(layer)))
    for layer, name, function in changes:
        # `setattr` of a layer would track the function.
        object.__setattr__(layer, name, function)
    try:
        yield
    finally:
        for layer, name, _ in changes:
            object.__delattr__(layer, name)


def _is_dilated_transpose(layer: keras.Layer) -> bool:
    kinds = layers.Conv1DTranspose | layers.Conv2DTranspose
    return isinstance(layer, kinds) and max(layer.dilation_rate) > 1


def _convolution(layer: keras.layers.Conv3D) -> Callable:
    """Returns a computation with one convolution per group, with holes in a dilated kernel."""

    def convolution_op(inputs: Any, kernel: Any) -> Any:
        kernel = _with_holes(kernel, layer.dilation_rate)
        outputs = [
            ops.conv(x, weights, list(layer.strides), layer.padding, layer.data_format)
            for x, weights in zip(
                ops.split(inputs, layer.groups, axis=-1),
                ops.split(kernel, layer.groups, axis=-1),
                strict=True,
            )
        ]
        return ops.concatenate(outputs, axis=-1)

    return convolution_op


def _transposed_convolution(layer: Any) -> Callable:
    """Returns a computation with holes in the kernel instead of a dilation."""

    def call(inputs: Any) -> Any:
        kernel = _with_holes(ops.convert_to_tensor(layer.kernel), layer.dilation_rate)
        # `copy.copy` would save the layer and load it.
        twin = object.__new__(type(layer))
        vars(twin).update(vars(layer), kernel=kernel, dilation_rate=(1,) * layer.rank)
        return type(layer).call(twin, inputs)

    return call


def _with_holes(kernel: Any, dilation_rate: tuple[int, ...]) -> Any:
    """Returns the kernel whose convolution without dilation equals that of `kernel` with it."""
    for axis, rate in enumerate(dilation_rate):
        if rate == 1:
            continue
        holes = [(0, 0)] * (len(kernel.shape) + 1)
        holes[axis + 1] = (0, rate - 1)
        size = (kernel.shape[axis] - 1) * rate + 1
        shape = [*kernel.shape[:axis], kernel.shape[axis] * rate, *kernel.shape[axis + 1 :]]
        kernel = ops.reshape(ops.pad(ops.expand_dims(kernel, axis + 1), holes), shape)
        kernel = ops.take(kernel, range(size), axis=axis)
    return kernel


def _pooling(layer: Any) -> Callable:
    """Returns a computation that pools height and width first, and then depth."""
    pool = ops.max_pool if isinstance(layer, layers.MaxPooling3D) else ops.average_pool

    def call(inputs: Any) -> Any:
        depth, height, width, channels = ops.shape(inputs)[1:]
        x = ops.reshape(inputs, (-1, height, width, channels))
        x = pool(x, layer.pool_size[1:], layer.strides[1:], layer.padding, layer.data_format)
        height, width = ops.shape(x)[1:3]
        x = ops.reshape(x, (-1, depth, height * width, channels))
        size, stride = (layer.pool_size[0], 1), (layer.strides[0], 1)
        x = pool(x, size, stride, layer.padding, layer.data_format)
        return ops.reshape(x, (-1, ops.shape(x)[1], height, width, channels))

    return call
