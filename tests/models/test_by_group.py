import keras
import numpy as np
import pytest

from keras_selectscale import (
    Selective,
    Selectout,
    SelectScale,
    SpatialDropout,
    SpatialScale,
    StandardDropout,
    linear_curriculum,
)
from keras_selectscale.models import CifarResNet, DropSite, by_group
from tests.models.inspection import drops

THIRD, FOURTH = DropSite("a", 3, 8), DropSite("b", 4, 8)
PAPER = {3: 0.5, 4: 1.0}


def test_retaining_0_2_in_group_4_is_0_6_in_group_3():
    choose = by_group(SelectScale(top_rate=0.1, retaining_rate=0.2), PAPER)
    assert choose(THIRD).retaining_rate == pytest.approx(0.6)
    assert choose(FOURTH).retaining_rate == 0.2
    assert choose(THIRD).top_rate == choose(FOURTH).top_rate == 0.1
    assert (choose(THIRD).name, choose(FOURTH).name) == ("a_drop", "b_drop")


@pytest.mark.parametrize("group", [0, 1, 2, 5])
def test_a_group_that_is_not_named_has_none(group):
    assert by_group(SpatialScale(retaining_rate=0.4), PAPER)(DropSite("a", group, 8)) is None


@pytest.mark.parametrize("factor", [0, 0.25, 0.5, 1])
def test_each_method_is_scaled_by_its_drop_rate(factor):
    for drop, rate in (
        (StandardDropout(retaining_rate=0.9), 0.9),
        (SpatialDropout(retaining_rate=0.9), 0.9),
        (SpatialScale(retaining_rate=0.6), 0.6),
        (Selectout(top_rate=0.4, retaining_rate=0.8), 0.8),
        (SelectScale(top_rate=0.1, retaining_rate=0.5), 0.5),
    ):
        scaled = by_group(drop, {3: factor})(THIRD)
        assert type(scaled) is type(drop)
        assert scaled.retaining_rate == pytest.approx(1 - factor * (1 - rate))
        assert drop.retaining_rate == rate


def test_a_schedule_is_scaled_at_every_step():
    drop = SelectScale(top_rate=0.1, retaining_rate=linear_curriculum(0.2, 10))
    third, fourth = (by_group(drop, PAPER)(site).retaining_rate for site in (THIRD, FOURTH))
    for step, (expected_third, expected_fourth) in {
        0: (1.0, 1.0),
        5: (0.8, 0.6),
        10: (0.6, 0.2),
        99: (0.6, 0.2),
    }.items():
        assert float(third(step)) == pytest.approx(expected_third, abs=1e-6)
        assert float(fourth(step)) == pytest.approx(expected_fourth, abs=1e-6)


def test_the_scaled_schedule_acts_and_is_saved(tmp_path):
    drop = SpatialScale(retaining_rate=linear_curriculum(0.0, 1), seed=3)
    inputs = keras.Input((1, 1, 4000))
    model = keras.Model(inputs, by_group(drop, {3: 0.5})(THIRD)(inputs))
    model.save(tmp_path / "model.keras")
    model = keras.models.load_model(tmp_path / "model.keras")
    ones = np.ones((1, 1, 1, 4000), "float32")
    first, second = (
        keras.ops.convert_to_numpy(model(ones, training=True)).ravel() for _ in range(2)
    )
    np.testing.assert_allclose(first, 1, atol=1e-6)  # At step 0 the rate is 1,
    assert 0.5 <= second.min() < 0.51 and 1.49 < second.max() <= 1.5  # and then 0.5.


def test_a_drop_of_keras_and_a_nested_one_are_scaled():
    plain = by_group(keras.layers.SpatialDropout2D(0.2, seed=1), PAPER)
    assert (plain(THIRD).rate, plain(FOURTH).rate) == (0.1, 0.2)
    nested = by_group(Selective(SpatialScale(retaining_rate=0.2), top_rate=0.5), PAPER)
    assert nested(THIRD).drop.retaining_rate == pytest.approx(0.6)
    assert nested(FOURTH).drop.retaining_rate == 0.2
    assert nested(THIRD).top_rate == 0.5


def test_a_rate_that_is_the_identity_stays_so():
    assert by_group(SpatialScale(retaining_rate=1.0), PAPER)(THIRD).retaining_rate == 1.0


def test_each_site_has_the_seed_that_it_has_without_groups():
    template = SpatialDropout(retaining_rate=0.9, seed=5)
    everywhere = {
        layer.name: layer.seed for layer in drops(CifarResNet(14, drop=template), SpatialDropout)
    }
    choose = by_group(template, {1: 1, 3: 0.5})
    for _ in range(2):  # It keeps no count: one object serves many networks.
        placed = drops(CifarResNet(14, drop=choose), SpatialDropout)
        assert len(placed) == 8
        assert all(layer.seed == everywhere[layer.name] for layer in placed)


def test_a_layer_without_a_rate_is_refused_where_it_would_be_scaled():
    choose = by_group(keras.layers.GaussianNoise(0.1), PAPER)
    assert choose(FOURTH).stddev == 0.1
    with pytest.raises(ValueError, match="`drop`.*0.5.*GaussianNoise"):
        choose(THIRD)


@pytest.mark.parametrize(
    "arguments, error, match",
    [
        ({"drop": None}, TypeError, "`drop`.*None"),
        ({"drop": SpatialScale}, TypeError, "`drop`.*SpatialScale"),
        ({"drop": lambda site: None}, TypeError, "`drop`.*function"),
        ({"factors": {}}, ValueError, "`factors`"),
        ({"factors": [1.0]}, TypeError, r"`factors`.*\[1.0\]"),
        ({"factors": {"3": 0.5}}, TypeError, "`factors`.*'3'"),
        ({"factors": {True: 0.5}}, TypeError, "`factors`.*True"),
        ({"factors": {-1: 0.5}}, TypeError, "`factors`.*-1"),
        ({"factors": {3: "0.5"}}, TypeError, r"factors\[3\].*'0.5'"),
        ({"factors": {3: float("nan")}}, ValueError, r"factors\[3\].*nan"),
        ({"factors": {3: -0.5}}, ValueError, r"`factors` must be in \[0, 1\].*-0.5"),
        ({"factors": {3: 1.0, 4: 2}}, ValueError, r"`factors` must be in \[0, 1\].*2"),
    ],
)
def test_bad_arguments_are_named(arguments, error, match):
    with pytest.raises(error, match=match):
        by_group(**({"drop": SpatialScale(retaining_rate=0.4), "factors": PAPER} | arguments))
