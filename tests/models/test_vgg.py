import pytest

from keras_selectscale import SpatialDropout
from keras_selectscale.models import VGG, DropSite
from tests.models.inspection import drops, shape_of, source_of, trainable_parameters

FILTERS = (64, 128, 256, 512, 512)
COUNTS = {
    11: (1, 1, 2, 2, 2),
    13: (2, 2, 2, 2, 2),
    16: (2, 2, 3, 3, 3),
    19: (2, 2, 4, 4, 4),
}


@pytest.fixture(scope="module")
def vgg_16():
    return VGG(drop=SpatialDropout(retaining_rate=0.9, seed=3))


@pytest.mark.parametrize(
    "depth, parameters",
    [(11, 9_228_362), (13, 9_413_066), (16, 14_724_042), (19, 20_035_018)],
)
def test_parameter_counts_by_hand(depth, parameters):
    total, before = 0, 3
    for count, filters in zip(COUNTS[depth], FILTERS, strict=True):
        for _ in range(count):
            total += 9 * before * filters + 2 * filters
            before = filters
    model = VGG(depth)
    assert trainable_parameters(model) == total + 512 * 10 + 10 == parameters
    assert model.name == f"vgg_{depth}"


def test_a_drop_follows_every_convolution(vgg_16):
    names = [layer.name for layer in drops(vgg_16, SpatialDropout)]
    assert names == [
        f"group{group}_{number}_drop"
        for group, count in enumerate(COUNTS[16], start=1)
        for number in range(1, count + 1)
    ]
    assert len(names) == 13
    for name in names:
        site = name.removesuffix("_drop")
        assert source_of(vgg_16, name) == [f"{site}_relu"]
        assert source_of(vgg_16, f"{site}_relu") == [f"{site}_bn"]
    assert source_of(vgg_16, "group1_2_conv") == ["group1_1_drop"]
    assert source_of(vgg_16, "group1_pool") == ["group1_2_drop"]
    assert source_of(vgg_16, "pool") == ["group5_pool"]


def test_no_two_sites_share_a_seed(vgg_16):
    assert len({layer.seed for layer in drops(vgg_16, SpatialDropout)}) == 13


def test_a_callable_is_offered_each_site():
    seen = []
    VGG(11, drop=seen.append)
    assert seen[:3] == [
        DropSite("group1_1", 1, 64),
        DropSite("group2_1", 2, 128),
        DropSite("group3_1", 3, 256),
    ]
    assert len(seen) == 8


@pytest.mark.parametrize(
    "shape, sizes",
    [
        ((32, 32, 3), [(16, 16), (8, 8), (4, 4), (2, 2), (1, 1)]),
        ((224, 224, 3), [(112, 112), (56, 56), (28, 28), (14, 14), (7, 7)]),
        ((8, 12, 1), [(4, 6), (2, 3), (1, 2), (1, 1), (1, 1)]),
    ],
)
def test_each_group_halves_the_resolution_of_any_image(shape, sizes):
    model = VGG(11, input_shape=shape)
    assert [shape_of(model, f"group{group}_pool")[:2] for group in range(1, 6)] == sizes


@pytest.mark.parametrize("depth", [8, 12, 50, 1])
def test_a_depth_that_vgg_does_not_have_is_refused(depth):
    with pytest.raises(ValueError, match=f"`depth` must be 11, 13, 16 or 19.*{depth}"):
        VGG(depth)


@pytest.mark.parametrize("depth", [16.0, "16", None, True])
def test_a_depth_that_is_no_integer_is_refused(depth):
    with pytest.raises(TypeError, match="`depth`"):
        VGG(depth)
