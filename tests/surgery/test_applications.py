"""Networks of keras.applications. `SURGERY_NETWORKS=all` runs those that take longer, too."""

import collections
import os

import keras
import numpy as np
import pytest

from keras_selectscale import SelectScale, insert_drops, strip_drops
from keras_selectscale.surgery import find_drop_sites
from tests.surgery.models import by_layer, everything_in, images, randomize

pytestmark = pytest.mark.slow

# Sites in the groups 0, 1, 2, … at 32x32, counted off the architectures' papers.
SITES = {
    "MobileNetV2": [4, 6, 9, 21, 12],
    "EfficientNetB0": [4, 6, 6, 18, 47],
    "VGG16": [2, 2, 3, 3, 3],
    "ResNet50": [1, 10, 13, 19, 10],
    "ResNet50V2": [1, 8, 13, 19, 12],
    "DenseNet121": [1, 13, 25, 49, 32],
    "ConvNeXtTiny": [4, 4, 10, 4],
}
RUN = list(SITES) if os.environ.get("SURGERY_NETWORKS") == "all" else list(SITES)[:2]


@pytest.mark.parametrize("name", RUN)
def test_drops_in_and_out(name):
    shape = (32, 32, 3)
    model = getattr(keras.applications, name)(
        weights=None, input_shape=shape, include_top=False, pooling="avg"
    )
    randomize(model)
    found = collections.Counter(site.group for site in find_drop_sites(model))
    assert [found[group] for group in range(len(found))] == SITES[name]
    # Every convolution has one.
    convolutions = [layer for layer in everything_in(model) if "Conv" in type(layer).__name__]
    assert sum(found.values()) == len(convolutions)
    new = insert_drops(model, SelectScale(top_rate=0.2, retaining_rate=0.2, seed=1))
    drops = [layer for layer in everything_in(new) if isinstance(layer, SelectScale)]
    assert len(drops) == len(convolutions)
    x = images(1, shape)
    expected = keras.ops.convert_to_numpy(model(x))
    for other in (new, strip_drops(new)):
        np.testing.assert_array_equal(expected, keras.ops.convert_to_numpy(other(x)))
        theirs, ours = by_layer(model), by_layer(other)
        assert theirs.keys() == ours.keys()
        assert all(np.array_equal(value, ours[key]) for key, value in theirs.items())
