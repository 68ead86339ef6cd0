import re

import pytest

from keras_selectscale import SpatialScale, models
from keras_selectscale.models import resnet50
from keras_selectscale.models.names import FAMILIES, find_family


@pytest.mark.parametrize(
    "name, model_name, filters",
    [
        ("resnet-8", "resnet_8", 16),
        ("resnet-20", "resnet_20", 16),
        ("wrn-20-4", "wrn_20_4", 64),
        ("wrn-14-3", "wrn_14_3", 48),
        ("resnext-11-2x8d", "resnext_11_2x8d", 64),
        ("resnet-50", "resnet50", 64),
    ],
)
def test_names_of_the_paper_build_their_network(name, model_name, filters):
    model = models.build(name)
    assert model.name == model_name
    assert model.get_layer("stem_conv").filters == filters


def test_resnet_50_is_the_network_of_imagenet_and_the_other_stays_within_reach():
    model = models.build("resnet-50", input_shape=(32, 32, 3), classes=10)
    assert model.get_layer("group4_block3_3_conv").filters == 2048
    small = models.CifarResNet(50)
    assert small.name == "resnet_50"
    assert small.get_layer("group3_block8_2_conv").filters == 64


@pytest.mark.parametrize(
    "name, shape, classes",
    [
        ("resnet-8", (32, 32, 3), 10),
        ("resnext-11-1x8d", (32, 32, 3), 10),
        ("resnet-50", (224, 224, 3), 1000),
        ("vgg-11", (32, 32, 3), 10),
    ],
)
def test_shapes_and_classes_are_the_builders_own_unless_they_are_given(
    name, shape, classes, monkeypatch
):
    # A few filters and blocks of it serve here.
    monkeypatch.setattr(resnet50, "GROUPS", ((1, 4, 8), (1, 8, 16)))
    model = models.build(name)
    assert (model.input.shape[1:], model.output.shape[1:]) == (shape, (classes,))
    model = models.build(name, input_shape=(8, 12, 1), classes=7)
    assert (model.input.shape[1:], model.output.shape[1:]) == ((8, 12, 1), (7,))


def test_vgg_has_the_depth_of_its_name():
    model = models.build("vgg-13")
    assert model.name == "vgg_13"
    assert sum("_conv" in layer.name for layer in model.layers) == 10


def test_each_family_has_a_name_of_its_own_form():
    forms = [family.form for family in FAMILIES]
    assert forms == ["resnet-D", "wrn-D-K", "resnext-D-CxWd", "resnet-50", "vgg-D", "wrn-D-K"]
    names = ["resnet-20", "wrn-20-4", "resnext-29-8x64d", "resnet-50", "vgg-16", "wrn-28-10"]
    for family, name in zip(FAMILIES, names, strict=True):
        assert find_family("network", name)[0] is family
        matching = [each for each in FAMILIES if re.fullmatch(each.pattern, name)]
        assert len(matching) == 1 or all(each.exists is not None for each in matching)
    assert len({family.description for family in FAMILIES}) == len(FAMILIES)


def test_arguments_reach_the_builder():
    drop = SpatialScale(retaining_rate=0.4)
    model = models.build("resnet-8", drop=drop, classes=7, input_shape=(16, 12, 1))
    assert model.input.shape == (None, 16, 12, 1)
    assert model.output.shape == (None, 7)
    assert sum(isinstance(layer, SpatialScale) for layer in model.layers) == 7


@pytest.mark.parametrize(
    "name",
    ["resnet", "resnet-", "wrn-20", "resnet-20-4", "resnext-29", "resnext-29-8x64", "vit", "", 20],
)
def test_an_unknown_name_is_refused_and_the_forms_are_said(name):
    with pytest.raises(
        ValueError, match="`network`.*resnet-D.*wrn-D-K.*resnext-D-CxWd.*resnet-50.*vgg-D"
    ):
        models.build(name)


@pytest.mark.parametrize(
    "name, argument",
    [
        ("resnet-21", "depth"),
        ("wrn-20-0", "width"),
        ("resnext-28-8x64d", "depth"),
        ("resnext-29-0x64d", "cardinality"),
        ("resnext-29-8x0d", "base_width"),
        ("vgg-12", "depth"),
    ],
)
def test_an_invalid_depth_or_width_is_named(name, argument):
    with pytest.raises(ValueError, match=f"`{argument}`"):
        models.build(name)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("resnet-9998", ["depth", "2000"]),
        ("resnet-" + "9" * 5000, ["of the form"]),
        ("wrn-8-1000", ["width=1000", "weights", "96,768,000,000"]),
        ("wrn-1994-200", ["width", "weights"]),
        ("resnext-29-1000x1000d", ["cardinality=1000", "weights"]),
        ("resnext-29-1000x1d", ["cardinality", "convolutions"]),
    ],
)
def test_a_network_that_is_too_large_is_refused_before_it_is_built(name, words):
    with pytest.raises(ValueError) as caught:
        models.build(name)
    message = str(caught.value)
    assert message.startswith("Argument `network`") and len(message) < 500
    assert all(word in message for word in words), message
