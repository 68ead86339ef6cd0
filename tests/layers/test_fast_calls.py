"""What a backend does by itself gives what `keras.ops` and `keras.random` give."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_selectscale.layers import factors
from keras_selectscale.layers.drop_seed_generator import DropSeedGenerator
from keras_selectscale.layers.fast_calls import fast_call
from tests.layers import drawing


def fast(name):
    found = fast_call(name)
    if found is None:
        pytest.skip(f"{drawing.BACKEND} has no {name} of its own")
    return found


def test_a_function_that_no_backend_has_is_none():
    assert fast_call("no_such_function") is None


@pytest.mark.parametrize("start", [0, 5, 2**31 - 1])
def test_the_seeds_are_those_of_keras(start):
    fast("next_seed")
    ours, keras_own = DropSeedGenerator(start), keras.random.SeedGenerator(start)
    for _ in range(3):
        np.testing.assert_array_equal(
            drawing.as_array(ours.next()), drawing.as_array(keras_own.next())
        )
    np.testing.assert_array_equal(
        drawing.as_array(ours.state.value), drawing.as_array(keras_own.state.value)
    )


def test_a_seed_in_a_stateless_scope_leaves_the_state():
    generator = DropSeedGenerator(3)
    state = ops.convert_to_tensor([7, 9], generator.state.dtype)
    with keras.StatelessScope(state_mapping=[(generator.state, state)]) as scope:
        np.testing.assert_array_equal(drawing.as_array(generator.next()), [7, 9])
        np.testing.assert_array_equal(drawing.as_array(generator.next()), [7, 10])
    advanced = scope.get_current_value(generator.state)
    np.testing.assert_array_equal(drawing.as_array(advanced), [7, 11])
    np.testing.assert_array_equal(drawing.as_array(state), [7, 9])
    np.testing.assert_array_equal(drawing.as_array(generator.state.value), [3, 0])


@pytest.mark.parametrize("shape", [(), (3,), (4, 1, 5)])
@pytest.mark.parametrize("ends", [(0.0, 1.0), (-1.0, 1.0), (2.0, 5.0)])
def test_uniform_numbers_are_those_of_keras(shape, ends):
    uniform = fast("uniform")
    ours = uniform(shape, *ends, DropSeedGenerator(5))
    keras_own = keras.random.uniform(shape, *ends, seed=keras.random.SeedGenerator(5))
    assert keras.backend.standardize_dtype(ours.dtype) == "float32"
    assert tuple(ours.shape) == shape
    np.testing.assert_allclose(
        drawing.as_array(ours), drawing.as_array(keras_own), rtol=0, atol=1e-6
    )


@pytest.mark.parametrize("as_tensor", [False, True])
@pytest.mark.parametrize("width", [0.0, 1.4, 100.7, 8388607.3])
def test_factors_about_one_are_the_same_to_the_bit(width, as_tensor):
    around_one = fast("around_one")
    noise = np.random.default_rng(0).uniform(-1, 1, (50, 40)).astype("float32")
    noise[0, :2] = -1, 1
    furthest, spacing = float(np.floor(width)), factors.FLOAT32_SPACING
    if as_tensor:
        width = ops.convert_to_tensor(width, "float32")
        furthest = ops.floor(width)
    ours, plain = (
        compute(ops.convert_to_tensor(noise.copy()), width, furthest, spacing)
        for compute in (around_one, factors.around_one)
    )
    np.testing.assert_array_equal(drawing.as_array(ours), drawing.as_array(plain))


@pytest.mark.skipif(drawing.BACKEND != "torch", reason="the tensors of PyTorch without numbers")
def test_a_layer_takes_maps_that_only_have_a_shape():
    make = drawing.LAYERS["SelectScale"]
    with keras.device("meta"):
        drawn = make()(ops.ones((2, 3, 4, 8)), training=True)
    assert drawn.is_meta and tuple(drawn.shape) == (2, 3, 4, 8)
