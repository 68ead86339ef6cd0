"""The axis of the channels, and which shapes are batches of feature maps."""

import pytest

from keras_selectscale.layers import feature_maps


@pytest.mark.parametrize("rank", [3, 4, 5])
def test_the_axes(rank):
    assert feature_maps.channel_axis("channels_last", rank) == rank - 1
    assert feature_maps.channel_axis("channels_first", rank) == 1
    assert feature_maps.spatial_axes(1, rank) == tuple(range(2, rank))
    assert feature_maps.spatial_axes(rank - 1, rank) == tuple(range(1, rank - 1))


@pytest.mark.parametrize(
    ("shape", "data_format"),
    [
        ((None, None, 1), "channels_last"),
        ((1, 3, None), "channels_first"),
        ((None, None, None, None, 8), "channels_last"),
        ([2, 4, 6, 8], "channels_first"),
    ],
)
def test_a_batch_of_feature_maps_passes(shape, data_format):
    feature_maps.check_feature_maps(shape, data_format, "Drop")


@pytest.mark.parametrize(
    ("shape", "data_format", "message"),
    [
        ((), "channels_last", r"rank 3 to 5.*inputs\.shape=\(\) \(rank 0\)"),
        ((8, 8), "channels_last", r"Drop expects.*rank 3 to 5.*\(8, 8\) \(rank 2\)"),
        ((1,) * 6, "channels_last", r"rank 3 to 5.*\(rank 6\)"),
        ((2, 3, None), "channels_last", r"channel axis \(2 for .*known size.*\(2, 3, None\)"),
        ((2, None, 3), "channels_first", r"channel axis \(1 for .*known size.*\(2, None, 3\)"),
        ((2, 3, 0), "channels_last", r"at least one channel on axis 2.*\(2, 3, 0\)"),
    ],
)
def test_anything_else_is_an_error(shape, data_format, message):
    with pytest.raises(ValueError, match=message):
        feature_maps.check_feature_maps(shape, data_format, "Drop")


@pytest.mark.parametrize(
    ("shape", "other", "equal"),
    [
        ((2, 3), (2, 3), True),
        ((None, 3), (2, None), True),
        ((2, 3), (2, 4), False),
        ((1, 3), (2, 3), False),
        ((2, 3), (2, 3, 1), False),
        ((), (), True),
    ],
)
def test_shapes_that_may_be_equal(shape, other, equal):
    assert feature_maps.may_be_equal(shape, other) is equal


@pytest.mark.parametrize("shape", [(2, 0, 4, 8), (2, 4, 0, 8)])
def test_maps_without_positions_are_refused(shape):
    with pytest.raises(ValueError, match="no axis of size 0"):
        feature_maps.check_feature_maps(shape, "channels_last", "SelectScale")
