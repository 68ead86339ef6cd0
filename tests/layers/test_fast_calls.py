"""What a backend does by itself gives what `keras.ops` and `keras.random` give."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_selectscale import Selectout, SelectScale, linear_curriculum
from keras_selectscale.layers import factors, selection
from keras_selectscale.layers.backends import fast_call
from keras_selectscale.layers.factors import DropSeedGenerator
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
@pytest.mark.parametrize("start", [5, 2**31 - 1])
def test_uniform_numbers_are_those_of_keras(start, ends, shape):
    uniform = fast("uniform")
    ours, keras_own = DropSeedGenerator(start), keras.random.SeedGenerator(start)
    drawn = []
    for _ in range(3):
        found = uniform(shape, *ends, ours)
        assert keras.backend.standardize_dtype(found.dtype) == "float32"
        drawn.append(drawing.as_array(found))
        expected = drawing.as_array(keras.random.uniform(shape, *ends, seed=keras_own))
        if drawing.BACKEND == "torch":
            np.testing.assert_array_equal(drawn[-1], expected)
        else:  # Compiled otherwise, the last bit may differ.
            np.testing.assert_allclose(drawn[-1], expected, rtol=0, atol=1e-6)
    assert drawn[0].shape == shape
    assert np.all(drawn[0] != drawn[1]) and np.all(drawn[1] != drawn[2])


@pytest.mark.skipif(drawing.BACKEND != "torch", reason="PyTorch's state is signed")
def test_a_negative_seed_draws_what_keras_draws():
    """A state above 2**31 that another backend has saved."""
    ours, keras_own = DropSeedGenerator(0), keras.random.SeedGenerator(0)
    for generator in (ours, keras_own):
        generator.state.assign([-5, 9])
    np.testing.assert_array_equal(
        drawing.as_array(fast("uniform")((7,), 0.0, 1.0, ours)),
        drawing.as_array(keras.random.uniform((7,), seed=keras_own)),
    )


@pytest.mark.skipif(drawing.BACKEND != "torch", reason="the devices of PyTorch")
def test_a_draw_does_not_wait_for_an_accelerator(monkeypatch):
    """The state is on the host, and the numbers are drawn where Keras computes."""
    from keras_selectscale.layers.backends import torch as torch_calls

    with keras.device("meta"):  # The only other device that every machine has.
        ours = DropSeedGenerator(3)
    assert ours.state.value.is_cpu
    monkeypatch.setattr(torch_calls, "HAS_ACCELERATOR", True)
    state = ours.state.value
    with keras.device("meta"):
        assert torch_calls._device_of_draws(state).type == "meta"
    keras_own = keras.random.SeedGenerator(3)
    np.testing.assert_array_equal(
        drawing.as_array(fast("uniform")((5,), 0.0, 1.0, ours)),
        drawing.as_array(keras.random.uniform((5,), seed=keras_own)),
    )
    # Moved with its model, it draws there.
    assert torch_calls._device_of_draws(state.to("meta")).type == "meta"


@pytest.mark.parametrize("as_tensor", [False, True])
@pytest.mark.parametrize("width", [0.0, 1.4, 100.7, 8388607.3])
def test_factors_about_one_are_the_same_to_the_bit(width, as_tensor):
    around_one = fast("around_one")
    noise = np.random.default_rng(0).uniform(-1, 1, (50, 40)).astype("float32")
    noise[0, :2] = -1, 1
    furthest, spacing = float(np.floor(width)), factors.SPACINGS["float32"]
    if as_tensor:
        width = ops.convert_to_tensor(width, "float32")
        furthest = ops.floor(width)
    ours, plain = (
        compute(ops.convert_to_tensor(noise.copy()), width, furthest, spacing)
        for compute in (around_one, factors.around_one)
    )
    np.testing.assert_array_equal(drawing.as_array(ours), drawing.as_array(plain))


def scheduled():
    return Selectout(top_rate=0.5, retaining_rate=linear_curriculum(0.6, steps=10))


@pytest.mark.skipif(drawing.BACKEND != "torch", reason="the tensors of PyTorch without numbers")
@pytest.mark.parametrize(
    "make", [*drawing.LAYERS.values(), scheduled], ids=[*drawing.LAYERS, "scheduled"]
)
def test_a_layer_takes_maps_that_only_have_a_shape(make):
    layer = make()
    layer.build((2, 3, 4, 8))
    with keras.device("meta"):
        drawn = layer(ops.ones((2, 3, 4, 8)), training=True)
    assert drawn.is_meta and tuple(drawn.shape) == (2, 3, 4, 8)


@pytest.mark.skipif(drawing.BACKEND != "torch", reason="the tensors of PyTorch")
def test_only_numbers_are_read():
    from keras_selectscale.layers.backends import torch as torch_calls

    assert torch_calls._is_readable(ops.ones((2, 3)))
    with keras.device("meta"):
        assert not torch_calls._is_readable(ops.ones((2, 3)))


@pytest.mark.skipif(drawing.BACKEND != "torch", reason="the transforms of PyTorch")
@pytest.mark.parametrize("name", drawing.LAYERS)
def test_each_sample_has_a_gradient_of_its_own(name):
    import torch

    layer = drawing.LAYERS[name](seed=1)
    samples = drawing.maps((6, 3, 4, 8))[:, None]

    layer.build(tuple(samples.shape[1:]))
    state = [v.value for v in layer.non_trainable_variables]

    def total(sample):
        return layer.stateless_call([], state, sample, training=True)[0].sum()

    gradients = torch.func.vmap(torch.func.grad(total), randomness="different")(samples)
    # The gradient of a sum is the factor, which differs from sample to sample.
    factors_of = drawing.as_array(gradients)
    assert np.any(factors_of != 1) and np.any(factors_of[0] != factors_of[1])


@pytest.mark.skipif(drawing.BACKEND != "torch", reason="the transforms of PyTorch")
def test_a_trace_keeps_the_selection_and_not_its_result():
    from torch.fx.experimental.proxy_tensor import make_fx

    def select(maps):
        candidates = selection.candidate_mask(maps, 3, 0.5, selection.max_score)
        return candidates, selection.top_k_mask(maps[:, 0, 0], 2)

    rising, falling = (ops.reshape(row, (1, 1, 1, 4)) for row in ([1.0, 2, 3, 4], [4.0, -3, 2, 1]))
    traced = make_fx(select)(rising)
    for found, expected in zip(traced(falling), ([1, 1, 0, 0], [1, 0, 1, 0]), strict=True):
        np.testing.assert_array_equal(drawing.as_array(found), [expected])


@pytest.mark.skipif(drawing.BACKEND != "jax", reason="about the compiler of JAX")
def test_a_second_eager_call_compiles_nothing():
    import jax

    layer, inputs = SelectScale(top_rate=0.5, retaining_rate=0.4, seed=1), ops.ones((2, 5, 4, 16))
    layer(inputs, training=True)
    compiled = []

    def listen(event, seconds, **kwargs):
        if "backend_compile" in event:
            compiled.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    layer(inputs, training=True)
    assert compiled == []
    layer(ops.ones((3, 5, 4, 16)), training=True)
    assert compiled  # The listener hears of a new shape.
