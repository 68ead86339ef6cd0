"""The draws, without a layer: exact values, ranges and means in every precision."""

import keras
import ml_dtypes
import numpy as np
import pytest
from keras import ops

from keras_selectscale.benchmarking.backend_modes import device_name
from keras_selectscale.layers import bernoulli, factors
from tests.layers import drawing, statistics

DTYPES = ["float16", "bfloat16", "float32"]
SHAPE = (500, 1, 500)


def seed():
    return keras.random.SeedGenerator(5)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rate", [0.03, 0.5, 0.9, 0.997])
def test_bernoulli_is_zero_or_the_inverse_at_the_right_rate(rate, dtype):
    """A uniform of bfloat16 has 128 values and cannot tell 0.997 from 1."""
    drawn = bernoulli.inverted_bernoulli(SHAPE, rate, dtype, seed())
    assert keras.backend.standardize_dtype(drawn.dtype) == dtype
    values = drawing.as_array(drawn)
    inverse = float(np.array(1 / rate).astype(ml_dtypes.finfo(dtype).dtype))
    np.testing.assert_array_equal(np.unique(values), [0, inverse])
    statistics.check_share(values > 0, rate)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("as_tensor", [False, True])
@pytest.mark.parametrize("rate", [0.0, 0.2, 0.4, 0.7, 0.9, 0.95])
def test_uniform_stays_in_its_range_with_a_mean_of_one(rate, as_tensor, dtype):
    half_width = ops.convert_to_tensor(1 - rate, "float32") if as_tensor else 1 - rate
    drawn = factors.uniform_around_one(SHAPE, half_width, dtype, seed())
    assert keras.backend.standardize_dtype(drawn.dtype) == dtype
    values = drawing.as_array(drawn)
    statistics.check_mean_one(values)
    slack = 1e-7 if as_tensor else 0  # The tensor has the precision of float32.
    assert values.min() >= rate - slack
    assert values.max() <= 2 - rate + slack
    assert values.max() - values.min() >= 1.85 * (1 - rate)
    np.testing.assert_allclose(values.var(), (1 - rate) ** 2 / 3, rtol=0.05 if rate < 0.9 else 0.4)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_width_of_a_few_roundings_is_still_symmetric(dtype):
    """Numbers are closer below 1 than above: rounding to the nearest would lower the mean."""
    spacing = float(ml_dtypes.finfo(dtype).eps)
    drawn = factors.uniform_around_one(SHAPE, 1.4 * spacing, dtype, seed())
    values = drawing.as_array(drawn)
    np.testing.assert_array_equal(np.unique(values), [1 - spacing, 1, 1 + spacing])
    statistics.check_mean_one(values)


@pytest.mark.parametrize("dtype", DTYPES)
def test_no_width_is_no_noise(dtype):
    np.testing.assert_array_equal(
        drawing.as_array(factors.uniform_around_one((9, 9), 0.0, dtype, seed())), np.ones((9, 9))
    )


def test_one_draw_advances_the_state_by_one():
    generator = seed()
    bernoulli.inverted_bernoulli((2,), 0.5, "float32", generator)
    factors.uniform_around_one((2,), 0.5, "float32", generator)
    np.testing.assert_array_equal(drawing.as_array(generator.state.value), [5, 2])


@pytest.mark.parametrize("rows", [0, 3])
@pytest.mark.parametrize("ends", [(0, 2), (-2, 0)])
def test_a_factor_that_is_computed_once_is_the_same(rows, ends):
    factor = np.random.default_rng(0).uniform(*ends, (rows, 1, 1, 5)).astype("float32")
    once = factors.computed_once
    if drawing.BACKEND == "tensorflow":
        import tensorflow as tf

        once = tf.function(once, jit_compile=True)
    found = once(ops.convert_to_tensor(factor))
    np.testing.assert_array_equal(drawing.as_array(found), factor)


@pytest.mark.skipif(
    drawing.BACKEND == "torch" or device_name() != "cpu", reason="what XLA needs on a CPU"
)
def test_no_loop_over_the_maps_computes_the_factor_again():
    maps, factor = np.ones((4, 9, 7, 16), "float32"), np.ones((4, 1, 1, 16), "float32")

    def fused(layer_of):
        """Returns the loops over the maps that compute the factor too."""

        def product(maps, factor):
            return maps * layer_of(ops.sin(factor) + 1.0)

        if drawing.BACKEND == "jax":
            import jax

            text = jax.jit(product).lower(maps, factor).compile().as_text()
        else:
            import tensorflow as tf

            compiled = tf.function(product, jit_compile=True)
            ir_of = compiled.experimental_get_compiler_ir(tf.constant(maps), tf.constant(factor))
            text = ir_of(stage="optimized_hlo")
        parts = text.split("\n\n")
        return [part for part in parts if "sine(" in part and "[4,9,7,16]" in part]

    assert len(fused(lambda factor: factor)) > 0
    assert len(fused(factors.computed_once)) == 0
