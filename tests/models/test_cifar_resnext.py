import pytest

from keras_selectscale import SelectScale, SpatialDropout
from keras_selectscale.models import CifarResNeXt, DropSite
from tests.models.inspection import drops, shape_of, source_of, trainable_parameters


@pytest.fixture(scope="module")
def resnext_29():
    return CifarResNeXt(drop=SelectScale(top_rate=0.1, retaining_rate=0.2, seed=3))


def expected_parameters(depth, cardinality, base_width, classes=10):
    """Counts the template of Xie et al. by hand: kernels, two numbers a BN channel, the head."""
    total = 9 * 3 * 64 + 2 * 64
    before = 64
    for group, filters in enumerate((256, 512, 1024)):
        width = cardinality * base_width * 2**group
        for _ in range((depth - 2) // 9):
            total += before * width + 2 * width
            total += 9 * width * (width // cardinality) + 2 * width
            total += width * filters + 2 * filters
            if before != filters:
                total += before * filters + 2 * filters
            before = filters
    return total + before * classes + classes


def test_the_parameter_count_is_that_of_the_literature(resnext_29):
    count = trainable_parameters(resnext_29)
    assert count == expected_parameters(29, 8, 64) == 34_426_698
    assert round(count / 1e6, 1) == 34.4
    assert resnext_29.name == "resnext_29_8x64d"


@pytest.mark.parametrize("arguments", [(11, 2, 4), (20, 4, 2), (11, 1, 8)])
def test_other_sizes_count_as_the_template_does(arguments):
    assert trainable_parameters(CifarResNeXt(*arguments)) == expected_parameters(*arguments)


def test_the_drops_stand_before_and_after_each_grouped_convolution(resnext_29):
    names = [layer.name for layer in drops(resnext_29, SelectScale)]
    assert names == [
        f"group{group}_block{block}_{part}_drop"
        for group in (1, 2, 3)
        for block in (1, 2, 3)
        for part in (1, 2)
    ]
    assert len(names) == 18
    for group in (1, 2, 3):
        block = f"group{group}_block2"
        assert source_of(resnext_29, f"{block}_1_drop") == [f"{block}_1_relu"]
        split = resnext_29.get_layer(f"{block}_2_conv_8").input._keras_history.operation
        assert split.input._keras_history.operation.name == f"{block}_1_drop"
        assert source_of(resnext_29, f"{block}_2_drop") == [f"{block}_2_relu"]
        assert source_of(resnext_29, f"{block}_3_conv") == [f"{block}_2_drop"]
        assert source_of(resnext_29, f"{block}_add") == [
            f"{block}_3_bn",
            f"group{group}_block1_relu",
        ]


def test_each_group_halves_the_resolution_and_doubles_the_width(resnext_29):
    for group, size in ((1, 32), (2, 16), (3, 8)):
        inner, filters = 256 * 2**group, 128 * 2**group
        assert shape_of(resnext_29, f"group{group}_block1_2_relu") == (size, size, inner)
        assert shape_of(resnext_29, f"group{group}_block3_relu") == (size, size, filters)
        kernel = resnext_29.get_layer(f"group{group}_block1_2_conv_1").kernel
        assert tuple(kernel.shape) == (3, 3, inner // 8, inner // 8)


def test_a_callable_is_offered_each_site_with_its_channels():
    seen = []
    CifarResNeXt(11, 2, 4, drop=seen.append)
    assert seen == [
        DropSite(f"group{group}_block1_{part}", group, 4 * 2**group)
        for group in (1, 2, 3)
        for part in (1, 2)
    ]


def test_no_two_sites_share_a_seed(resnext_29):
    assert len({layer.seed for layer in drops(resnext_29, SelectScale)}) == 18


def test_the_only_convolutions_in_groups_are_the_3x3():
    model = CifarResNeXt(11, 4, 2, drop=SpatialDropout(retaining_rate=0.9))
    parts = [layer.name for layer in model.layers if layer.name[-1] == "4" and "conv" in layer.name]
    assert parts == [f"group{group}_block1_2_conv_4" for group in (1, 2, 3)]


@pytest.mark.parametrize("depth", [2, 10, 12, 28, 50, 0, -7])
def test_a_depth_that_is_not_9n_plus_2_is_refused(depth):
    with pytest.raises(ValueError, match=f"`depth`.*{depth}"):
        CifarResNeXt(depth)


@pytest.mark.parametrize(
    "arguments, error, match",
    [
        ({"depth": "29"}, TypeError, "`depth`.*'29'"),
        ({"cardinality": 0}, ValueError, "`cardinality`.*0"),
        ({"cardinality": 8.0}, TypeError, "`cardinality`.*8.0"),
        ({"base_width": 0}, ValueError, "`base_width`.*0"),
        ({"base_width": None}, TypeError, "`base_width`.*None"),
    ],
)
def test_bad_arguments_are_named(arguments, error, match):
    with pytest.raises(error, match=match):
        CifarResNeXt(**arguments)
