"""SpatialDropout against Eq. (3)."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

from keras_selectscale import SpatialDropout
from tests.layers import drawing, reference, statistics, strategies


@strategies.examples(30)
@given(data=st.data(), data_format=strategies.DATA_FORMATS, rate=strategies.RATES)
def test_every_map_is_dropped_or_divided_by_the_rate(data, data_format, rate):
    inputs = data.draw(strategies.feature_maps(data_format))
    layer = SpatialDropout(retaining_rate=rate, data_format=data_format)
    factor = drawing.factor(layer, inputs)
    maps = reference.channels_last(drawing.as_array(inputs), data_format)
    reference.check_factor("SpatialDropout", factor, maps, retaining_rate=rate)


@pytest.mark.parametrize("rate", [0.05, 0.5, 0.9, 0.999])
def test_the_retained_share_is_the_rate(rate):
    layer = SpatialDropout(retaining_rate=rate, seed=1)
    factor = drawing.map_factor(layer, ops.ones((400, 1, 500)))
    statistics.check_share(factor > 0, rate)
    statistics.check_mean_one(factor)


def test_maps_are_drawn_by_themselves():
    layer = SpatialDropout(retaining_rate=0.5, seed=2)
    statistics.check_independent_maps(drawing.map_factor(layer, ops.ones((200, 2, 3, 200))))


def test_successive_calls_draw_anew():
    layer = SpatialDropout(retaining_rate=0.5, seed=3)
    inputs = ops.ones((100, 2, 100))
    statistics.check_uncorrelated(
        drawing.map_factor(layer, inputs), drawing.map_factor(layer, inputs)
    )


def test_it_is_keras_spatial_dropout_said_by_the_retained_share():
    inputs = ops.ones((50, 3, 2, 20))
    ours = drawing.map_factor(SpatialDropout(retaining_rate=0.8, seed=4), inputs)
    theirs = drawing.map_factor(keras.layers.SpatialDropout2D(0.2, seed=5), inputs)
    np.testing.assert_allclose(np.unique(ours), np.unique(theirs), rtol=1e-6)
