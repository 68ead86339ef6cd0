import keras
import numpy as np
import pytest

from keras_selectscale import SpatialDropout, models
from keras_selectscale.models import WideResNet
from tests.models.inspection import drops, source_of, trainable_parameters


def test_wrn_28_10_has_the_parameters_of_the_paper():
    with keras.device("meta") if keras.backend.backend() == "torch" else keras.name_scope("wide"):
        model = models.build("wrn-28-10")
    assert model.name == "wrn_28_10"
    assert trainable_parameters(model) == 36_479_194  # The paper: 36.5 million.


@pytest.mark.parametrize(("name", "millions"), [("wrn-16-4", 2.75), ("wrn-40-1", 0.56)])
def test_smaller_ones_too(name, millions):
    assert trainable_parameters(models.build(name)) / 1e6 == pytest.approx(millions, rel=0.02)


def test_the_drops_stand_on_the_residual_branches():
    model = WideResNet(10, 2, drop=SpatialDropout(retaining_rate=0.9))
    names = [layer.name for layer in drops(model, SpatialDropout)]
    blocks = [f"group{group}_block1" for group in (1, 2, 3)]
    assert names == ["stem_drop", *(f"{b}_{part}_drop" for b in blocks for part in (1, 2))]
    for block in blocks:
        # Between the convolutions, as the authors' dropout, and before the addition.
        assert source_of(model, f"{block}_1_drop") == [f"{block}_2_relu"]
        assert source_of(model, f"{block}_2_conv") == [f"{block}_1_drop"]
        assert source_of(model, f"{block}_add") == [f"{block}_2_drop", f"{block}_shortcut_conv"]
        assert source_of(model, f"{block}_shortcut_conv")[0].startswith(block)
    assert source_of(model, "last_bn") == ["group3_block1_add"]


def test_a_block_of_equal_shape_has_no_projection(data_format):
    shape = (16, 12, 1) if data_format == "channels_last" else (1, 16, 12)
    model = WideResNet(16, 1, input_shape=shape, classes=3, data_format=data_format)
    projections = [layer.name for layer in model.layers if "shortcut_conv" in layer.name]
    assert projections == ["group2_block1_shortcut_conv", "group3_block1_shortcut_conv"]
    assert source_of(model, "group1_block1_add")[1] == "stem_conv"
    shapes = [model.get_layer(f"group{g}_block2_add").output.shape for g in (1, 2, 3)]
    assert [int(np.prod(each[1:])) for each in shapes] == [16 * 192, 32 * 48, 64 * 12]
    assert model.output.shape == (None, 3)


@pytest.mark.parametrize("depth", [4, 8, 20, 27])
def test_a_depth_that_is_not_6n_plus_4_is_refused(depth):
    with pytest.raises(ValueError, match=rf"`depth` must be 6n \+ 4.*{depth}"):
        WideResNet(depth, 1)


def test_a_name_of_a_depth_that_does_not_exist_says_which_do():
    with pytest.raises(ValueError, match=r"`network`.* 6n \+ 2 .*wrn-20-4.* 6n \+ 4 .*wrn-28-10"):
        models.build("wrn-21-4")
