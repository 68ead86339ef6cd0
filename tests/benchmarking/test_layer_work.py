import numpy as np
import pytest
from keras import ops

from keras_selectscale.benchmarking.backend_modes import modes
from keras_selectscale.benchmarking.layer_sides import SIDES, make_layer
from keras_selectscale.benchmarking.layer_work import copy_work, layer_work

SHAPE = (2, 3, 5, 8)


def tensors():
    generator = np.random.default_rng(0)
    return [generator.uniform(1, 2, SHAPE).astype("float32") for _ in range(2)]


@pytest.mark.parametrize("mode", modes())
@pytest.mark.parametrize("name", ["keras-spatial-dropout", "spatial-scale", "selectscale"])
def test_it_gives_the_output_and_the_product_with_the_gradient(mode, name):
    x, gradient = tensors()
    layer = make_layer(name, dtype="float32", seed=1)
    work = layer_work(layer, mode, ops.convert_to_tensor(x), ops.convert_to_tensor(gradient))
    factors = []
    for _ in range(3):
        y, backward = (np.array(ops.convert_to_numpy(ops.stop_gradient(t))) for t in work())
        factor = y / x
        np.testing.assert_allclose(backward, factor * gradient, rtol=1e-5)
        np.testing.assert_allclose(factor, np.broadcast_to(factor[:, :1, :1], SHAPE), rtol=1e-5)
        factors.append(factor)
    # Each call makes new draws.
    assert not np.allclose(factors[0], factors[1]) and not np.allclose(factors[1], factors[2])


@pytest.mark.parametrize("mode", modes())
def test_no_layer_gives_what_it_is_given(mode):
    x, gradient = tensors()
    work = layer_work(None, mode, ops.convert_to_tensor(x), ops.convert_to_tensor(gradient))
    y, backward = work()
    np.testing.assert_array_equal(ops.convert_to_numpy(ops.stop_gradient(y)), x)
    np.testing.assert_array_equal(ops.convert_to_numpy(backward), gradient)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
@pytest.mark.parametrize("name", SIDES)
def test_half_precisions_stay_what_they_are(name, precision):
    layer = make_layer(name, dtype=precision, seed=1)
    x = ops.ones(SHAPE, precision)
    y, backward = layer_work(layer, modes()[0], x, x)()
    assert precision in str(y.dtype) and precision in str(backward.dtype)


@pytest.mark.parametrize("mode", modes())
def test_a_copy_is_a_new_tensor(mode):
    x = ops.convert_to_tensor(tensors()[0])
    np.testing.assert_array_equal(
        ops.convert_to_numpy(copy_work(mode, x)()), -ops.convert_to_numpy(x)
    )
