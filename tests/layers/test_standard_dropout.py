"""StandardDropout against Eq. (2)."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

from keras_selectscale import StandardDropout
from tests.layers import drawing, reference, statistics, strategies


@strategies.examples(30)
@given(data=st.data(), data_format=strategies.DATA_FORMATS, rate=strategies.RATES)
def test_every_unit_is_dropped_or_divided_by_the_rate(data, data_format, rate):
    inputs = data.draw(strategies.feature_maps(data_format))
    layer = StandardDropout(retaining_rate=rate, data_format=data_format)
    factor = drawing.factor(layer, inputs)
    maps = reference.channels_last(drawing.as_array(inputs), data_format)
    reference.check_factor("StandardDropout", factor, maps, retaining_rate=rate)


@pytest.mark.parametrize("rate", [0.05, 0.5, 0.9, 0.999])
def test_the_retained_share_is_the_rate(rate):
    layer = StandardDropout(retaining_rate=rate, seed=1)
    factor = drawing.factor(layer, ops.ones((100, 10, 8, 25)))
    statistics.check_share(factor > 0, rate)
    statistics.check_mean_one(factor)


def test_units_are_drawn_by_themselves():
    layer = StandardDropout(retaining_rate=0.5, seed=2)
    factor = drawing.factor(layer, ops.ones((50, 9, 8, 20)))
    for axis in range(4):
        one, other = np.split(np.take(factor, range(8), axis=axis), 2, axis=axis)
        statistics.check_uncorrelated(one, other)


def test_successive_calls_draw_anew():
    layer = StandardDropout(retaining_rate=0.5, seed=3)
    inputs = ops.ones((20, 5, 5, 20))
    statistics.check_uncorrelated(drawing.factor(layer, inputs), drawing.factor(layer, inputs))


def test_it_is_keras_dropout_said_by_the_retained_share():
    inputs = ops.ones((100, 10, 100))
    ours = drawing.factor(StandardDropout(retaining_rate=0.8, seed=4), inputs)
    theirs = drawing.factor(keras.layers.Dropout(0.2, seed=5), inputs)
    np.testing.assert_allclose(np.unique(ours), np.unique(theirs), rtol=1e-6)


@pytest.mark.skipif(drawing.BACKEND == "jax", reason="JAX has no float64 by default")
def test_the_inverse_is_a_float64_in_float64():
    layer = StandardDropout(retaining_rate=0.9, seed=6, dtype="float64")
    factor = drawing.factor(layer, ops.ones((4, 5, 30), dtype="float64"))
    np.testing.assert_array_equal(np.unique(factor), [0, 1 / 0.9])
