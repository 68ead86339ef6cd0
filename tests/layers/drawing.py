"""Makes layers and feature maps, and reads factors back, on every backend."""

import functools

import keras
import numpy as np
from keras import ops

from keras_selectscale import (
    Selective,
    Selectout,
    SelectScale,
    SpatialDropout,
    SpatialScale,
    StandardDropout,
)
from tests.layers import reference

BACKEND = keras.backend.backend()
RATES = {"retaining_rate": 0.6}
SELECTING = {"retaining_rate": 0.75, "top_rate": 0.5}
# Every method, with rates under which it surely does something to a few dozen feature maps.
METHODS = {
    StandardDropout: RATES,
    SpatialDropout: RATES,
    SpatialScale: RATES,
    Selectout: SELECTING,
    SelectScale: SELECTING,
}


def selective(*, data_format=None, seed=None, **arguments):
    """Returns a `Selective` whose arguments are those of the other layers."""
    drop = SpatialScale(retaining_rate=0.5, data_format=data_format, seed=seed)
    return Selective(drop, top_rate=0.5, data_format=data_format, **arguments)


# Every layer by name, each a function of further arguments.
LAYERS = {
    **{method.__name__: functools.partial(method, **rates) for method, rates in METHODS.items()},
    "Selective": selective,
}


def maps(shape, data_format="channels_last", seed=0, dtype="float32"):
    """Returns feature maps whose maxima differ within a sample, all powers of two.

    Products with powers of two are exact, so that output over input is the factor to the last bit
    in every precision.
    """
    rng = np.random.default_rng(seed)
    batch, *sizes, channels = (
        shape if data_format == "channels_last" else (shape[0], *shape[2:], shape[1])
    )
    positions = int(np.prod(sizes))
    assert channels <= 24, "powers of two from 2**-12 on, for the range of float16"
    peak = rng.permuted(np.tile(np.arange(channels) - 12, (batch, 1)), axis=1)
    exponent = peak[:, None, :] - rng.integers(0, 2, (batch, positions, channels))
    highest = rng.integers(0, positions, (batch, 1, channels))
    np.put_along_axis(exponent, highest, peak[:, None, :], axis=1)
    values = np.exp2(exponent) * rng.choice([-1.0, 1.0], exponent.shape)
    values = values.reshape(batch, *sizes, channels)
    if data_format == "channels_first":
        values = np.moveaxis(values, -1, 1)
    return ops.convert_to_tensor(values.astype("float32"), dtype)


def as_array(tensor):
    """Returns a tensor of any dtype as a float64 array."""
    return np.asarray(ops.convert_to_numpy(tensor)).astype("float64")


def factor(layer, inputs, **call):
    """Returns output over input in training, channels_last."""
    outputs = layer(inputs, training=True, **call)
    assert tuple(outputs.shape) == tuple(inputs.shape)
    ratio = as_array(outputs) / as_array(inputs)
    return reference.channels_last(ratio, getattr(layer, "data_format", "channels_last"))


def map_factor(layer, inputs):
    """Returns the factor of each feature map, (batch, channels), one for all its positions."""
    ratio = factor(layer, inputs)
    rows = ratio.reshape(ratio.shape[0], -1, ratio.shape[-1])
    np.testing.assert_array_equal(rows, np.broadcast_to(rows[:, :1], rows.shape))
    return rows[:, 0]


def outputs_and_gradient(function, inputs, weights=1.0):
    """Returns `function(inputs)` and the gradient of its weighted sum, on every backend."""
    if BACKEND == "tensorflow":
        import tensorflow as tf

        inputs = tf.convert_to_tensor(inputs)
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = function(inputs)
        weights = tf.cast(tf.broadcast_to(weights, tf.shape(outputs)), outputs.dtype)
        return outputs, tape.gradient(outputs, inputs, output_gradients=weights)
    if BACKEND == "jax":
        import jax

        outputs, backwards = jax.vjp(function, inputs)
        weights = ops.cast(ops.broadcast_to(weights, outputs.shape), outputs.dtype)
        return outputs, backwards(weights)[0]
    inputs = inputs.detach().clone().requires_grad_(True)
    outputs = function(inputs)
    outputs.backward(ops.cast(ops.broadcast_to(weights, outputs.shape), outputs.dtype))
    return outputs, inputs.grad


def compiled(layer, shape):
    """Returns the layer's training call as compiled code, and a function that counts its traces.

    PyTorch is not compiled here: the call runs as it is.
    """
    layer.build(shape)
    traces = []

    def call(inputs):
        traces.append(1)
        return layer(inputs, training=True)

    if BACKEND == "tensorflow":
        import tensorflow as tf

        return tf.function(call, jit_compile=True), lambda: len(traces)
    if BACKEND == "jax":
        import jax

        @jax.jit
        def stateless(state, inputs):
            traces.append(1)
            return layer.stateless_call([], state, inputs, training=True)

        def stateful(inputs):
            variables = layer.non_trainable_variables
            outputs, state = stateless([v.value for v in variables], inputs)
            for variable, value in zip(variables, state, strict=True):
                variable.assign(value)
            return outputs

        return stateful, lambda: len(traces)
    return call, lambda: 1
