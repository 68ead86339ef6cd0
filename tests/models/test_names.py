import pytest

from keras_selectscale import SpatialScale, models


@pytest.mark.parametrize(
    "name, model_name, filters",
    [
        ("resnet-8", "resnet_8", 16),
        ("resnet-20", "resnet_20", 16),
        ("wrn-20-4", "wrn_20_4", 64),
        ("wrn-14-3", "wrn_14_3", 48),
    ],
)
def test_names_of_the_paper_build_their_network(name, model_name, filters):
    model = models.build(name)
    assert model.name == model_name
    assert model.get_layer("stem_conv").filters == filters


def test_arguments_reach_the_builder():
    drop = SpatialScale(retaining_rate=0.4)
    model = models.build("resnet-8", drop=drop, classes=7, input_shape=(16, 12, 1))
    assert model.input.shape == (None, 16, 12, 1)
    assert model.output.shape == (None, 7)
    assert sum(isinstance(layer, SpatialScale) for layer in model.layers) == 7


@pytest.mark.parametrize("name", ["resnet", "resnet-", "wrn-20", "resnet-20-4", "vit", "", 20])
def test_an_unknown_name_is_refused_and_the_forms_are_said(name):
    with pytest.raises(ValueError, match="`network`.*resnet-D.*wrn-D-K"):
        models.build(name)


@pytest.mark.parametrize("name, argument", [("resnet-21", "depth"), ("wrn-20-0", "width")])
def test_an_invalid_depth_or_width_is_named(name, argument):
    with pytest.raises(ValueError, match=f"`{argument}`"):
        models.build(name)
