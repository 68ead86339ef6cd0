"""A dropped value is 0, and so is its gradient, whatever it was; a kept one stays what it is."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_selectscale import FeatureDrop, Selective, SpatialDropout, SpatialScale
from keras_selectscale.layers import factors
from keras_selectscale.layers.methods import METHODS
from tests.layers import drawing

SHAPE = (32, 4, 16)
# Each in one of the four positions of every map, so that all maps have the same score.
VALUES = np.array([1.0, np.inf, -np.inf, np.nan], "float32")


@keras.saving.register_keras_serializable(package="tests")
class Signs(FeatureDrop):
    """A custom drop with factors of -1, 0 and 1."""

    def draw_factor(self, inputs, retaining_rate):
        noise = keras.random.uniform(self.map_shape(inputs), -1, 1, seed=self.seed_generator)
        return ops.round(noise)


LAYERS = {
    **{
        name: lambda method=method, **policy: method.layer(
            seed=1, **{**method.defaults, "retaining_rate": 0.8}, **policy
        )
        for name, method in METHODS.items()
        if method.layer is not None and method.layer.divides_by_retaining_rate
    },
    "custom": lambda **policy: Signs(retaining_rate=0.5, seed=1, **policy),
    "selective": lambda **policy: Selective(
        SpatialDropout(retaining_rate=0.5, seed=1, **policy), top_rate=0.5, **policy
    ),
    "selective_keras": lambda **policy: Selective(
        keras.layers.Dropout(0.5, seed=1, **policy), top_rate=0.5, **policy
    ),
}


def product(factor, values):
    with np.errstate(invalid="ignore"):
        return np.where(factor == 0, 0, factor * values)


def not_finite(dtype="float32"):
    """Returns inputs and gradients of the outputs, with each value against each gradient."""
    inputs = np.broadcast_to(VALUES[:, None], SHAPE).astype("float32")
    gradients = np.stack([np.roll(inputs[0], shift, axis=0) for shift in range(SHAPE[0])])
    return ops.convert_to_tensor(inputs, dtype), ops.convert_to_tensor(gradients, dtype)


HALVES = [(name, dtype) for name in ("dropout", "custom") for dtype in ("float16", "bfloat16")]


@pytest.mark.parametrize(("name", "dtype"), [*((name, "float32") for name in LAYERS), *HALVES])
def test_forwards_and_backwards(name, dtype):
    make = LAYERS[name]
    factor = drawing.as_array(make(dtype=dtype)(ops.ones(SHAPE, dtype), training=True))
    assert np.any(factor == 0) and np.any(factor != 0)
    layer = make(dtype=dtype)
    layer.build(SHAPE)
    inputs, weights = not_finite(dtype)
    outputs, gradient = drawing.outputs_and_gradient(
        lambda x: layer(x, training=True), inputs, weights
    )
    np.testing.assert_array_equal(
        drawing.as_array(outputs), product(factor, drawing.as_array(inputs))
    )
    np.testing.assert_array_equal(
        drawing.as_array(gradient), product(factor, drawing.as_array(weights))
    )


@pytest.mark.skipif(drawing.BACKEND == "torch", reason="nothing is compiled on PyTorch")
@pytest.mark.parametrize("name", ["dropout", "selectout", "custom", "selective"])
def test_compiled(name):
    ones, other = LAYERS[name](), LAYERS[name]()
    factor = drawing.as_array(drawing.compiled(ones, SHAPE)[0](ops.ones(SHAPE)))
    assert np.any(factor == 0)
    inputs, _ = not_finite()
    outputs = drawing.compiled(other, SHAPE)[0](inputs)
    np.testing.assert_array_equal(
        drawing.as_array(outputs), product(factor, drawing.as_array(inputs))
    )


@pytest.mark.parametrize("axes", [(0, 2), (0, 1, 2)])
def test_the_gradient_of_the_gradient(axes):
    """Of the backends' own ways; the loss is the sum of the squares."""
    shape = [SHAPE[axis] if axis in axes else 1 for axis in range(3)]
    factor = ops.convert_to_tensor(np.arange(np.prod(shape)).reshape(shape) % 3 - 1, "float32")
    inputs = ops.convert_to_tensor(np.random.default_rng(0).normal(size=SHAPE), "float32")

    def gradient(x):
        return drawing.outputs_and_gradient(lambda x: factors.apply(factor, x, True), x, x)[1]

    squares = np.square(drawing.as_array(factor)) * np.ones(SHAPE)
    if drawing.BACKEND == "jax":
        import jax

        gradient = jax.grad(lambda x: ops.sum(factors.apply(factor, x, True) ** 2) / 2)
        second = jax.grad(lambda x: ops.sum(gradient(x)))(inputs)
    elif drawing.BACKEND == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as outer:
            outer.watch(inputs)
            with tf.GradientTape() as tape:
                tape.watch(inputs)
                half = tf.reduce_sum(factors.apply(factor, inputs, True) ** 2) / 2
            total = tf.reduce_sum(tape.gradient(half, inputs))
        second = outer.gradient(total, inputs)
    else:
        import torch

        inputs.requires_grad_(True)
        half = factors.apply(factor, inputs, True).square().sum() / 2
        (first,) = torch.autograd.grad(half, inputs, create_graph=True)
        (second,) = torch.autograd.grad(first.sum(), inputs)
    np.testing.assert_allclose(drawing.as_array(second), squares)


@pytest.mark.parametrize("name", ["SpatialScale", "SelectScale"])
def test_a_scale_whose_factor_may_be_0(name):
    """In bfloat16 one factor in 512 is 0 if the retaining rate is; above it none is."""
    inputs = ops.full((64, 1, 64), np.inf, dtype="bfloat16")
    arguments = {"dtype": "bfloat16", "seed": 1}
    if name == "SelectScale":
        arguments["top_rate"] = 1.0
    layer = METHODS[{"SpatialScale": "spatial-scale", "SelectScale": "selectscale"}[name]].layer
    outputs = drawing.as_array(layer(retaining_rate=0.0, **arguments)(inputs, training=True))
    assert set(np.unique(outputs)) == {0.0, np.inf}
    above = layer(retaining_rate=0.001, **arguments)
    assert not above.may_drop
    np.testing.assert_array_equal(drawing.as_array(above(inputs, training=True)), np.inf)


def test_an_overflow_in_mixed_float16_is_dropped():
    """Infinities occur in practice if the previous layer overflows in some maps."""
    dense = keras.layers.Dense(16, kernel_initializer="ones", dtype="mixed_float16")
    drop = SpatialDropout(retaining_rate=0.5, dtype="mixed_float16", seed=1)
    model = keras.Sequential([keras.Input((4, 2)), dense, drop])
    outputs = drawing.as_array(model(np.full((8, 4, 2), 6e4, "float32"), training=True))
    assert set(np.unique(outputs)) == {0.0, np.inf}


def test_a_recomputed_pass_uses_the_factor_of_the_first():
    """Computed again for the gradient, a layer would draw another factor."""
    with keras.RematScope("full"):
        layer = SpatialDropout(retaining_rate=0.5, seed=1)
    model = keras.Sequential([keras.Input(SHAPE[1:]), layer])
    inputs = drawing.maps(SHAPE)
    outputs, gradient = drawing.outputs_and_gradient(lambda x: model(x, training=True), inputs)
    np.testing.assert_array_equal(
        drawing.as_array(gradient), drawing.as_array(outputs) / drawing.as_array(inputs)
    )
    model.compile("sgd", "mse")
    model.fit(inputs, inputs, batch_size=4, verbose=0)  # Traced, `keras.remat` takes no keywords.


def test_scales_above_0_are_plain_products():
    assert SpatialScale(retaining_rate=0.0).may_drop
    assert not SpatialScale(retaining_rate=0.1).may_drop
