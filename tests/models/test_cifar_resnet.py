import keras
import numpy as np
import pytest

from keras_selectscale import SpatialDropout, models
from keras_selectscale.models import CifarResNet
from tests.models.inspection import drops, source_of, trainable_parameters


def expected_parameters(depth, width, channels=3, classes=10):
    """Counts the template of He et al. by hand: 3x3 kernels, two numbers a BN channel, the head."""
    blocks = (depth - 2) // 6
    filters = [16 * width, 32 * width, 64 * width]
    total = 9 * channels * filters[0] + 2 * filters[0]
    before = filters[0]
    for f in filters:
        total += 9 * before * f + 9 * f * f * (2 * blocks - 1) + 2 * f * 2 * blocks
        before = f
    return total + filters[-1] * classes + classes


@pytest.mark.parametrize(
    "depth, width, millions",
    [(20, 1, 0.27), (32, 1, 0.46), (44, 1, 0.66), (56, 1, 0.85), (110, 1, 1.7), (20, 4, 4.3)],
)
def test_parameter_counts_are_those_of_the_literature(depth, width, millions):
    count = trainable_parameters(CifarResNet(depth, width))
    assert count == expected_parameters(depth, width)
    assert count / 1e6 == pytest.approx(millions, rel=0.02)


def test_wrn_20_8_has_about_four_times_the_parameters_of_wrn_20_4():
    ratio = trainable_parameters(CifarResNet(20, 8)) / trainable_parameters(CifarResNet(20, 4))
    assert ratio == pytest.approx(4, rel=0.01)


def test_depth_20_has_19_named_sites_in_order():
    model = CifarResNet(20, drop=SpatialDropout(retaining_rate=0.9))
    expected = ["stem_drop"] + [
        f"group{group}_block{block}_{conv}_drop"
        for group in (1, 2, 3)
        for block in (1, 2, 3)
        for conv in (1, 2)
    ]
    assert [layer.name for layer in drops(model, SpatialDropout)] == expected
    assert len(expected) == 19


def test_the_drops_stand_where_the_paper_has_them():
    model = CifarResNet(8, drop=SpatialDropout(retaining_rate=0.9))
    assert source_of(model, "stem_drop") == ["stem_relu"]
    for group in (1, 2, 3):
        block = f"group{group}_block1"
        # Behind the activation of the first convolution, behind the BN of the second, and on the
        # residual branch before the addition.
        assert source_of(model, f"{block}_1_drop") == [f"{block}_1_relu"]
        assert source_of(model, f"{block}_2_drop") == [f"{block}_2_bn"]
        assert source_of(model, f"{block}_add")[0] == f"{block}_2_drop"
        assert source_of(model, f"{block}_relu") == [f"{block}_add"]


def test_the_last_drop_of_a_block_may_stand_behind_the_addition():
    drop = SpatialDropout(retaining_rate=0.9)
    model = CifarResNet(8, drop=drop, last_drop="after_addition")
    for group in (1, 2, 3):
        block = f"group{group}_block1"
        assert source_of(model, f"{block}_1_drop") == [f"{block}_1_relu"]
        assert source_of(model, f"{block}_add")[0] == f"{block}_2_bn"
        assert source_of(model, f"{block}_2_drop") == [f"{block}_relu"]
    names = {each.name for each in CifarResNet(8, drop=drop).layers}
    assert {each.name for each in model.layers} == names
    assert len(drops(model, SpatialDropout)) == 7


@pytest.mark.parametrize("value", ["shortcut", None, 1])
def test_another_place_of_the_last_drop_is_an_error(value):
    with pytest.raises((ValueError, TypeError), match="`last_drop` must be"):
        CifarResNet(8, last_drop=value)


def test_resolution_halves_and_filters_double():
    model = CifarResNet(14, 2, input_shape=(24, 32, 3))
    shapes = [model.get_layer(f"group{g}_block2_relu").output.shape for g in (1, 2, 3)]
    assert shapes == [(None, 24, 32, 32), (None, 12, 16, 64), (None, 6, 8, 128)]
    assert model.output.shape == (None, 10)


def test_the_shortcut_takes_every_other_position_and_pads_zero_channels():
    model = CifarResNet(8, input_shape=(6, 10, 3))
    shortcut = keras.Model(
        model.get_layer("group1_block1_relu").output,
        model.get_layer("group2_block1_shortcut_pad").output,
    )
    x = np.random.default_rng(0).normal(size=(2, 6, 10, 16)).astype("float32")
    expected = np.concatenate([x[:, ::2, ::2], np.zeros((2, 3, 5, 16), "float32")], axis=-1)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(shortcut(x)), expected)


@pytest.mark.parametrize("depth", [2, 7, 9, 10, 21, 0, -4])
def test_a_depth_that_is_not_6n_plus_2_is_refused(depth):
    with pytest.raises(ValueError, match=f"`depth`.*{depth}"):
        CifarResNet(depth)


@pytest.mark.parametrize(
    "arguments, error, match",
    [
        ({"depth": 20.0}, TypeError, "`depth`.*20.0"),
        ({"depth": True}, TypeError, "`depth`.*True"),
        ({"width": 1.5}, TypeError, "`width`.*1.5"),
        ({"width": 0}, ValueError, "`width`.*0"),
    ],
)
def test_bad_arguments_are_named(arguments, error, match):
    with pytest.raises(error, match=match):
        CifarResNet(**({"depth": 8} | arguments))


def test_models_is_at_the_top_of_the_package():
    import keras_selectscale

    assert keras_selectscale.models is models
