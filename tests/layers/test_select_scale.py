"""SelectScale against Eq. (6), with q as the retaining rate."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

from keras_selectscale import Selective, SelectScale, SpatialScale
from tests.layers import drawing, reference, statistics, strategies


@strategies.examples(60)
@given(
    data=st.data(),
    data_format=strategies.DATA_FORMATS,
    top_rate=strategies.RATES,
    rate=st.sampled_from([0.0, 0.1, 0.4, 0.75]),
)
def test_the_top_maps_are_scaled_and_no_other(data, data_format, top_rate, rate):
    inputs = data.draw(strategies.feature_maps(data_format))
    layer = SelectScale(top_rate=top_rate, retaining_rate=rate, data_format=data_format)
    factor = drawing.factor(layer, inputs)
    maps = reference.channels_last(drawing.as_array(inputs), data_format)
    reference.check_factor("SelectScale", factor, maps, retaining_rate=rate, top_rate=top_rate)


@pytest.mark.parametrize(
    ("channels", "top_rate", "selected"),
    [
        (10, 0.2, 2),
        (16, 0.1, 2),  # 1.6
        (50, 0.29, 15),  # 14.5, which is 14.499999999999998 in floating point
        (5, 0.1, 1),  # 0.5
        (5, 0.3, 2),  # 1.5
        (5, 0.5, 3),  # 2.5
        (8, 0.05, 1),  # 0.4, but never none
        (3, 1.0, 3),
        (1, 0.001, 1),
        (64, 0.2, 13),  # 12.8
        (640, 0.35, 224),
    ],
)
def test_counts_and_ties(channels, top_rate, selected):
    assert reference.candidate_count(top_rate, channels) == selected
    layer = SelectScale(top_rate=top_rate, retaining_rate=0.4, seed=3)
    factor = drawing.map_factor(layer, ops.ones((3, 2, channels)))
    np.testing.assert_array_equal(factor != 1, np.arange(channels) < np.full((3, 1), selected))


def test_all_zero_maps_are_selected_by_their_index():
    inputs = np.zeros((2, 3, 4, 8), "float32")
    inputs[0, 1, 2, 5] = -1
    layer = SelectScale(top_rate=0.5, retaining_rate=0.0)
    layer.build(inputs.shape)
    _, gradient = drawing.outputs_and_gradient(
        lambda x: layer(x, training=True), ops.convert_to_tensor(inputs)
    )
    scaled = drawing.as_array(gradient)[:, 0, 0] != 1
    np.testing.assert_array_equal(np.flatnonzero(scaled[0]), [0, 1, 2, 5])
    np.testing.assert_array_equal(np.flatnonzero(scaled[1]), [0, 1, 2, 3])


@pytest.mark.parametrize("rate", [0.0, 0.4, 0.95])
def test_factors_of_the_top_maps_are_uniform(rate):
    layer = SelectScale(top_rate=0.5, retaining_rate=rate, seed=1)
    factor = drawing.map_factor(layer, drawing.maps((10000, 1, 20)))
    scaled = factor[factor != 1]
    assert abs(scaled.size - 100_000) <= 10  # A draw may be 1 by chance.
    statistics.check_uniform(scaled, rate, 2 - rate)
    statistics.check_mean_one(scaled)


def test_maps_and_calls_are_independent():
    layer = SelectScale(top_rate=1.0, retaining_rate=0.0, seed=2)
    inputs = ops.ones((200, 2, 3, 200))
    factor = drawing.map_factor(layer, inputs)
    statistics.check_independent_maps(factor)
    statistics.check_uncorrelated(factor, drawing.map_factor(layer, inputs))


def test_it_is_the_selecting_version_of_spatial_scale():
    inputs = drawing.maps((4, 3, 5, 12))
    ours = SelectScale(top_rate=0.3, retaining_rate=0.2, seed=7)
    made = Selective(SpatialScale(retaining_rate=0.2, seed=7), top_rate=0.3)
    for _ in range(3):
        factor = drawing.map_factor(ours, inputs)
        np.testing.assert_array_equal(factor, drawing.map_factor(made, inputs))
        assert np.any(factor != 1)


def test_all_of_the_maps_selected_is_spatial_scale():
    inputs = drawing.maps((4, 3, 5, 12))
    ours = drawing.map_factor(SelectScale(top_rate=1.0, retaining_rate=0.2, seed=7), inputs)
    plain = drawing.map_factor(SpatialScale(retaining_rate=0.2, seed=7), inputs)
    np.testing.assert_array_equal(ours, plain)
    assert np.all(plain != 1)
