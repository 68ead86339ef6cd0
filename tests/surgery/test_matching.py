"""No drop follows what a model predicts."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_selectscale import SpatialDropout, insert_drops
from keras_selectscale.surgery import find_drop_sites


def final(x, **kwargs):
    return layers.Conv2D(5, 1, name="final", **kwargs)(x)


def positions(x):
    return layers.Reshape((-1, 5))(x)


def heads(x):
    other = layers.Conv2D(5, 3, name="other")(x)
    return layers.Softmax()(layers.Concatenate(axis=1)([positions(final(x)), positions(other)]))


def split(x):
    y = final(x)
    return [ops.sigmoid(y[..., :2]), y[..., 2:]]


def also_read(x):
    y = final(x)
    return [layers.Softmax()(y), layers.Dense(2)(layers.Flatten()(y))]


def residual(x):
    y = layers.BatchNormalization(name="norm")(layers.Conv2D(4, 1, name="final")(x))
    return layers.ReLU()(layers.Add()([y, x]))


PREDICT = {
    "softmax in the convolution": lambda x: final(x, activation="softmax"),
    "logits": final,
    "Softmax": lambda x: layers.Softmax()(final(x)),
    "Activation": lambda x: layers.Activation("softmax", dtype="float32")(final(x)),
    "function": lambda x: ops.softmax(final(x)) * 3.0,
    "Lambda": lambda x: layers.Lambda(lambda y: ops.softmax(y))(final(x)),
    "UpSampling": lambda x: layers.UpSampling2D(2)(final(x)),
    "Resizing": lambda x: layers.Resizing(32, 32)(final(x)),
    "Reshape": lambda x: layers.Softmax()(positions(final(x))),
    "Dropout": lambda x: layers.Dropout(0.5)(final(x)),
    "heads": heads,
    "split": split,
    "one of several": lambda x: [final(x), layers.Dense(2)(layers.Flatten()(x))],
    "also read": also_read,
    "nested": lambda x: keras.Sequential([layers.Conv2D(5, 1, name="final"), layers.Softmax()])(x),
    "nested softmax": lambda x: keras.Sequential([layers.Softmax()])(final(x)),
}
FEATURES = {
    "pooling": lambda x: layers.GlobalAveragePooling2D()(final(x)),
    "pooling of one position": lambda x: layers.GlobalAveragePooling2D()(
        layers.Conv2D(5, 8, name="final")(x)
    ),
    "weights": lambda x: layers.Softmax()(layers.Dense(3)(final(x))),
    "features side by side": lambda x: layers.Concatenate()([final(x), x]),
}


def network(head):
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, padding="same", activation="relu", name="first")(inputs)
    return keras.Model(inputs, head(x))


@pytest.mark.parametrize("name", PREDICT)
def test_no_drop_follows_what_the_model_predicts(name):
    model = network(PREDICT[name])
    assert [site.name for site in find_drop_sites(model)] == ["first"]
    with pytest.raises(ValueError, match="final: its output is what the model predicts; name"):
        find_drop_sites(model, after="*final")
    path = "*" if "nested" == name else "final"
    if path == "final":  # Unless the user names the layer.
        assert [site.name for site in find_drop_sites(model, after="final")] == ["final"]


@pytest.mark.parametrize("name", FEATURES)
def test_drops_follow_features(name):
    assert "final" in [site.name for site in find_drop_sites(network(FEATURES[name]))]


def test_the_residual_branch_before_an_output_has_its_drop():
    assert [site.name for site in find_drop_sites(network(residual))] == ["first", "norm"]


def test_probabilities_sum_to_one_in_training():
    model = network(PREDICT["softmax in the convolution"])
    new = insert_drops(model, SpatialDropout(retaining_rate=0.5, seed=1))
    y = new(np.random.default_rng(0).normal(size=(4, 8, 8, 3)), training=True)
    np.testing.assert_allclose(ops.convert_to_numpy(ops.sum(y, axis=-1)), 1, atol=1e-5)
