"""SpatialScale against Eq. (5), with q as the retaining rate."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

from keras_selectscale import SpatialScale
from tests.layers import drawing, reference, statistics, strategies


@strategies.examples(30)
@given(
    data=st.data(),
    data_format=strategies.DATA_FORMATS,
    rate=st.one_of(st.just(0.0), strategies.RATES),
)
def test_every_map_has_a_factor_within_the_range(data, data_format, rate):
    inputs = data.draw(strategies.feature_maps(data_format))
    layer = SpatialScale(retaining_rate=rate, data_format=data_format)
    factor = drawing.factor(layer, inputs)
    maps = reference.channels_last(drawing.as_array(inputs), data_format)
    reference.check_factor("SpatialScale", factor, maps, retaining_rate=rate)


@pytest.mark.parametrize("rate", [0.0, 0.4, 0.95])
def test_factors_are_uniform_between_the_rate_and_two_minus_it(rate):
    layer = SpatialScale(retaining_rate=rate, seed=1)
    factor = drawing.map_factor(layer, ops.ones((400, 1, 500)))
    statistics.check_uniform(factor, rate, 2 - rate)
    statistics.check_mean_one(factor)
    assert factor.min() >= rate and factor.max() <= 2 - rate


def test_the_rate_is_no_half_width():
    """Read as a half-width, 0.9 would be the strong drop and 0.1 the weak one."""
    inputs = ops.ones((50, 1, 50))
    weak = drawing.map_factor(SpatialScale(retaining_rate=0.9, seed=2), inputs)
    strong = drawing.map_factor(SpatialScale(retaining_rate=0.1, seed=2), inputs)
    assert np.abs(weak - 1).max() <= 0.1 < 0.85 < np.abs(strong - 1).max() <= 0.9


def test_maps_are_drawn_by_themselves():
    layer = SpatialScale(retaining_rate=0.0, seed=3)
    statistics.check_independent_maps(drawing.map_factor(layer, ops.ones((200, 2, 3, 200))))


def test_successive_calls_draw_anew():
    layer = SpatialScale(retaining_rate=0.0, seed=4)
    inputs = ops.ones((100, 2, 100))
    statistics.check_uncorrelated(
        drawing.map_factor(layer, inputs), drawing.map_factor(layer, inputs)
    )
