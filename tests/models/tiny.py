"""A network that is built, traced and saved in a fraction of the time of the smallest ResNet.

For tests of what surrounds a training. It has what a run must carry: a normalization with its
moving statistics, and two drop sites.
"""

import contextlib

import keras

from keras_selectscale.models import blocks, names
from keras_selectscale.models.drop_sites import DropSites

SITES = 2


def tiny(*, drop=None, input_shape=(8, 8, 1), classes=10, data_format=None, name="tiny"):
    """Returns two convolutions with a drop behind each."""
    drops = DropSites(drop)
    inputs = keras.Input(input_shape)
    x = blocks.conv_bn_relu(inputs, 4, "first", data_format=data_format)
    x = drops(x, "first", 1, 4)
    x = keras.layers.Conv2D(8, 3, activation="relu", data_format=data_format, name="second")(x)
    x = drops(x, "second", 2, 8)
    return keras.Model(inputs, blocks.classifier(x, classes, data_format=data_format), name=name)


@contextlib.contextmanager
def registered():
    """Lets recipes and commands name it `tiny`."""
    family = names.NetworkFamily("tiny", "tiny", tiny, "for tests")
    names.FAMILIES.append(family)
    try:
        yield
    finally:
        names.FAMILIES.remove(family)
