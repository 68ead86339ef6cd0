import pytest

from keras_selectscale import SelectScale, SpatialScale, linear_curriculum
from keras_selectscale.models import DropSite, ResNet50, by_group, resnet50
from tests.models.inspection import drops, shape_of, source_of, trainable_parameters

BLOCKS = (3, 4, 6, 3)


@pytest.fixture(scope="module")
def network():
    return ResNet50(drop=SelectScale(top_rate=0.1, retaining_rate=0.2, seed=3))


@pytest.fixture
def thin(monkeypatch):
    """Makes `ResNet50` a network of the same shape with few filters, which is built at once."""
    monkeypatch.setattr(
        resnet50,
        "GROUPS",
        tuple((count, 4 * 2**group, 8 * 2**group) for group, count in enumerate(BLOCKS)),
    )


def sites(groups):
    """Names the sites of the bottleneck blocks by hand."""
    return [
        f"group{group}_block{block}_{part}"
        for group in groups
        for block in range(1, BLOCKS[group - 1] + 1)
        for part in ("1", "2", "3", "shortcut")
        if part != "shortcut" or block == 1
    ]


def test_the_parameter_count_is_that_of_the_literature(network):
    total = 49 * 3 * 64 + 2 * 64
    before = 64
    for group, count in enumerate(BLOCKS):
        width, filters = 64 * 2**group, 256 * 2**group
        for _ in range(count):
            total += before * width + 9 * width**2 + width * filters + 4 * width + 2 * filters
            total += (before != filters) * (before * filters + 2 * filters)
            before = filters
    total += 2048 * 1000 + 1000
    assert trainable_parameters(network) == total == 25_557_032
    assert round(total / 1e6, 1) == 25.6
    assert network.name == "resnet50"


def test_the_shape_is_that_of_he_et_al(network):
    assert shape_of(network, "stem_relu") == (112, 112, 64)
    assert shape_of(network, "stem_pool") == (56, 56, 64)
    for group, size in enumerate((56, 28, 14, 7), start=1):
        last = f"group{group}_block{BLOCKS[group - 1]}_relu"
        assert shape_of(network, last) == (size, size, 128 * 2**group)
    assert network.output.shape == (None, 1000)
    assert not any(layer.use_bias for layer in network.layers if "_conv" in layer.name)
    assert sum("_conv" in layer.name for layer in network.layers) == 53


def test_a_template_is_put_where_the_paper_has_its_drops(network):
    placed = drops(network, SelectScale)
    assert {layer.name for layer in placed} == {f"{site}_drop" for site in sites((3, 4))}
    assert len(placed) == 29
    for layer in placed:
        assert layer.retaining_rate == pytest.approx(0.6 if "group3" in layer.name else 0.2)
        assert layer.top_rate == 0.1
    assert len({layer.seed for layer in placed}) == 29


def test_the_drops_stand_behind_every_bn(network):
    for block in ("group3_block1", "group4_block1"):
        assert source_of(network, f"{block}_1_drop") == [f"{block}_1_relu"]
        assert source_of(network, f"{block}_2_drop") == [f"{block}_2_relu"]
        assert source_of(network, f"{block}_3_drop") == [f"{block}_3_bn"]
        assert source_of(network, f"{block}_shortcut_drop") == [f"{block}_shortcut_bn"]
        assert source_of(network, f"{block}_add") == [f"{block}_3_drop", f"{block}_shortcut_drop"]
    assert source_of(network, "group4_block3_add") == ["group4_block3_3_drop", "group4_block2_relu"]


def test_a_callable_is_offered_every_site(thin):
    seen = []
    ResNet50(drop=seen.append)
    assert [site.name for site in seen] == ["stem", *sites((1, 2, 3, 4))]
    assert len(seen) == 53
    assert seen[:3] == [
        DropSite("stem", 0, 64),
        DropSite("group1_block1_1", 1, 4),
        DropSite("group1_block1_2", 1, 4),
    ]
    assert seen[4] == DropSite("group1_block1_shortcut", 1, 8)


def test_a_template_is_by_group_with_the_papers_factors(thin):
    template = SelectScale(top_rate=0.3, retaining_rate=linear_curriculum(0.2, 10), seed=8)
    ours, theirs = (
        [layer.get_config() for layer in drops(ResNet50(drop=drop), SelectScale)]
        for drop in (template, by_group(template, {3: 0.5, 4: 1.0}))
    )
    assert ours == theirs


def test_other_groups_can_be_chosen(thin):
    drop = by_group(SpatialScale(retaining_rate=0.4), {0: 1, 2: 0.25})
    placed = {
        layer.name: layer.retaining_rate for layer in drops(ResNet50(drop=drop), SpatialScale)
    }
    assert placed.pop("stem_drop") == 0.4
    assert set(placed) == {f"{site}_drop" for site in sites((2,))}
    assert list(placed.values()) == pytest.approx([0.85] * len(placed))


@pytest.mark.parametrize("stem, sizes", [("imagenet", (8, 4, 2, 1)), ("cifar", (32, 16, 8, 4))])
def test_small_images_have_a_stem_of_their_own(thin, stem, sizes):
    model = ResNet50(stem=stem, input_shape=(32, 32, 3), classes=10)
    assert [shape_of(model, f"group{group}_block1_relu")[0] for group in (1, 2, 3, 4)] == [*sizes]
    kernel = model.get_layer("stem_conv").kernel
    assert tuple(kernel.shape) == (7, 7, 3, 64) if stem == "imagenet" else (3, 3, 3, 64)


def test_a_stem_that_there_is_not_is_refused():
    with pytest.raises(ValueError, match="`stem`.*'small'"):
        ResNet50(stem="small")
