"""Selectout against Eq. (4) and the selecting function of Section 2.3."""

import itertools

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from keras import ops

from keras_selectscale import Selectout
from tests.layers import drawing, reference, statistics, strategies


@strategies.examples(60)
@given(
    data=st.data(),
    data_format=strategies.DATA_FORMATS,
    top_rate=strategies.RATES,
    rate=strategies.RATES,
)
def test_the_dropped_maps_are_candidates_and_exactly_so_many(data, data_format, top_rate, rate):
    assume(reference.exact(rate) + reference.exact(top_rate) >= 1)
    inputs = data.draw(strategies.feature_maps(data_format))
    layer = Selectout(top_rate=top_rate, retaining_rate=rate, data_format=data_format)
    factor = drawing.factor(layer, inputs)
    maps = reference.channels_last(drawing.as_array(inputs), data_format)
    if rate == 1:
        assert np.all(factor == 1)
    else:
        reference.check_factor("Selectout", factor, maps, retaining_rate=rate, top_rate=top_rate)


@pytest.mark.parametrize(
    ("channels", "top_rate", "rate", "dropped"),
    [
        (10, 0.2, 0.9, 1),  # "10% of the feature maps are dropped, picked from the top 20%"
        (160, 0.2, 0.9, 16),
        (5, 0.2, 0.9, 1),  # 0.5 rounds up, though 1 - 0.9 is below 0.1
        (5, 0.5, 0.7, 2),  # 1.5 rounds up
        (4, 0.2, 0.9, 0),  # 0.4 rounds down: nothing to drop
        (10, 0.1, 0.9, 1),  # as many as there are candidates, by floating point or not
        (3, 0.5, 0.5, 2),
        (7, 0.5, 0.5, 4),
        (50, 0.29, 0.71, 15),  # 14.5 in decimals, 14.499999999999998 in floating point
        (2, 0.2, 0.8, 0),
        (1, 1.0, 0.5, 1),
        (1, 0.5, 0.51, 0),
        (16, 1.0, 0.25, 12),
        (2048, 0.1, 0.9, 205),  # 204.8
    ],
)
def test_counts(channels, top_rate, rate, dropped):
    assert reference.dropped_count(rate, channels, top_rate) == dropped
    layer = Selectout(top_rate=top_rate, retaining_rate=rate)
    factor = drawing.map_factor(layer, ops.ones((3, 2, channels)))
    np.testing.assert_array_equal((factor == 0).sum(axis=1), [dropped] * 3)
    np.testing.assert_allclose(factor[factor > 0], 1 / rate, rtol=1e-6)


def test_among_equal_maps_the_first_are_candidates():
    layer = Selectout(top_rate=0.25, retaining_rate=0.75)
    factor = drawing.map_factor(layer, ops.ones((6, 2, 3, 16)))
    np.testing.assert_array_equal(factor == 0, np.arange(16) < np.full((6, 1), 4))


def test_maps_that_are_zero_are_ranked_after_the_others_by_their_index():
    """Six of ten are dropped: the two that are not zero and the first four zeros."""
    inputs = np.zeros((2, 3, 4, 10), "float32")
    inputs[..., 7] = 1
    inputs[0, 2, 3, 9] = -2
    inputs[1, 1, 0, 2] = 0.5
    layer = Selectout(top_rate=0.6, retaining_rate=0.4)
    layer.build(inputs.shape)
    _, gradient = drawing.outputs_and_gradient(
        lambda x: layer(x, training=True), ops.convert_to_tensor(inputs)
    )
    dropped = drawing.as_array(gradient)[:, 0, 0] == 0
    np.testing.assert_array_equal(np.flatnonzero(dropped[0]), [0, 1, 2, 3, 7, 9])
    np.testing.assert_array_equal(np.flatnonzero(dropped[1]), [0, 1, 2, 3, 4, 7])


def test_every_choice_among_the_candidates_is_as_likely():
    layer = Selectout(top_rate=0.5, retaining_rate=0.8, seed=1)
    inputs = drawing.maps((6000, 1, 10), seed=1)
    dropped = drawing.map_factor(layer, inputs) == 0
    marked = reference.candidates(drawing.as_array(inputs), 0.5)
    among = dropped[marked].reshape(6000, 5)
    np.testing.assert_array_equal(among.sum(axis=1), 2)
    pairs = [
        np.all(among[:, list(pair)], axis=1).sum() for pair in itertools.combinations(range(5), 2)
    ]
    statistics.check_equal_counts(pairs)
    # The choice depends neither on a candidate's rank nor on its channel.
    statistics.check_equal_counts(among.sum(axis=0))
    statistics.check_equal_counts(dropped.sum(axis=0))


def test_samples_and_calls_are_independent():
    layer = Selectout(top_rate=1.0, retaining_rate=0.5, seed=2)
    inputs = ops.ones((4000, 1, 8))
    one, two = drawing.map_factor(layer, inputs), drawing.map_factor(layer, inputs)
    statistics.check_uncorrelated(one[:-1], one[1:])
    statistics.check_uncorrelated(one, two)


def test_a_share_below_what_is_to_be_dropped_is_an_error_that_names_both():
    with pytest.raises(ValueError, match=r"top_rate=0\.1, retaining_rate=0\.85"):
        Selectout(top_rate=0.1, retaining_rate=0.85)


@pytest.mark.parametrize("percent", range(1, 100))
def test_the_boundary_is_valid_whatever_floating_point_makes_of_it(percent):
    for rate in (percent / 100, 1 - (100 - percent) / 100):
        Selectout(top_rate=(100 - percent) / 100, retaining_rate=rate)
