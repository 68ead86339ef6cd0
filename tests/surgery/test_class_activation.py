import keras
import numpy as np
import pytest

import keras_selectscale as ks
from keras_selectscale.surgery import ActivationMaps

IMAGES = np.random.default_rng(0).normal(size=(5, 6, 8, 3)).astype("float32")


def classifier(end=(), dtype=None, between=(), classes=7):
    return keras.Sequential(
        [
            keras.Input((6, 8, 3)),
            keras.layers.Conv2D(4, 3, strides=2, padding="same", activation="relu", dtype=dtype),
            *between,
            keras.layers.GlobalAveragePooling2D(dtype=dtype),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(classes, *end, dtype=dtype, bias_initializer="normal"),
        ]
    )


def features_of(model):
    conv = model.layers[0]
    return keras.ops.convert_to_numpy(keras.ops.cast(conv(IMAGES), "float32"))


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("end", [(), ("softmax",)])
def test_maps_equal_numpy(dtype, end):
    model = classifier(end, dtype)
    found = ks.class_activation_maps(model, IMAGES)
    assert isinstance(found, ActivationMaps)
    kernel, bias = model.layers[-1].get_weights()
    features = features_of(model)
    predicted = np.asarray(
        keras.ops.convert_to_numpy(keras.ops.cast(model(IMAGES), "float32"))
    ).argmax(-1)
    np.testing.assert_array_equal(found.classes, predicted)
    for image, chosen in enumerate(predicted):
        expected = (features[image] * kernel[:, chosen]).sum(-1)
        np.testing.assert_allclose(found.maps[image], expected, atol=2e-3)
    # The mean of a map, plus the bias, is the logit.
    logits = features.mean((1, 2)) @ kernel + bias
    powers = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    np.testing.assert_allclose(found.probabilities, powers.max(-1), atol=2e-2)
    assert found.maps.dtype == found.probabilities.dtype == "float32"


def test_the_classes_can_be_chosen():
    model = classifier()
    every = ks.class_activation_maps(model, IMAGES, [0, 1, 2, 3, 6], batch_size=2)
    np.testing.assert_array_equal(every.classes, [0, 1, 2, 3, 6])
    one = ks.class_activation_maps(model, IMAGES, 3)
    np.testing.assert_array_equal(one.classes, [3] * 5)
    np.testing.assert_allclose(one.maps[3], every.maps[3], atol=1e-6)


def test_a_network_with_drops_and_a_softmax_layer():
    drop = ks.SelectScale(top_rate=0.5, retaining_rate=0.0)
    inputs = keras.Input((6, 8, 3))
    model = classifier(between=(drop,))
    whole = keras.Model(inputs, keras.layers.Softmax()(model(inputs)))
    ended = keras.Sequential([keras.Input((6, 8, 3)), *model.layers, keras.layers.Softmax()])
    plain = ks.class_activation_maps(model, IMAGES)
    for each in (ended, whole):
        same(ks.class_activation_maps(each, IMAGES), plain)


def same(ours, plain):
    np.testing.assert_allclose(ours.maps, plain.maps, atol=1e-6)
    np.testing.assert_allclose(ours.probabilities, plain.probabilities, atol=1e-6)
    np.testing.assert_array_equal(ours.classes, plain.classes)


@pytest.mark.filterwarnings("error:The structure of")
@pytest.mark.parametrize("depth", [1, 2])
def test_the_pooling_may_be_inside_a_nested_model(depth):
    model = classifier()
    inside = keras.Sequential([keras.Input((6, 8, 3)), *model.layers[:2]])
    for _ in range(depth - 1):
        inside = keras.Sequential([keras.Input((6, 8, 3)), inside, keras.layers.Dropout(0.5)])
    inputs = keras.Input((6, 8, 3))
    x = inside(keras.layers.Rescaling(0.5)(inputs), training=False)
    functional = keras.Model(inputs, model.layers[-1](keras.layers.Dropout(0.5)(x)))
    nodes = [len(layer._inbound_nodes) for layer in functional.layers]
    found = ks.class_activation_maps(functional, IMAGES, batch_size=2)
    same(found, ks.class_activation_maps(model, 0.5 * IMAGES))
    np.testing.assert_array_equal(found.classes, functional.predict(IMAGES, verbose=0).argmax(-1))
    # The user's layers do not know of it.
    assert nodes == [len(layer._inbound_nodes) for layer in functional.layers]
    sequential = keras.Sequential([keras.Input((6, 8, 3)), inside, *model.layers[2:]])
    same(
        ks.class_activation_maps(sequential, IMAGES, 1), ks.class_activation_maps(model, IMAGES, 1)
    )


@pytest.mark.parametrize(
    ("classes", "end"),
    [(1, "sigmoid"), (1, None), (3, "sigmoid"), (3, "softmax"), (3, None), (3, "log_softmax")],
)
def test_probabilities_are_those_that_the_model_states(classes, end):
    model = classifier((end,), classes=classes)
    found = ks.class_activation_maps(model, IMAGES, 0)
    outputs = keras.ops.convert_to_numpy(model(IMAGES)).astype("float64")
    expected = {"sigmoid": outputs, "softmax": outputs, "log_softmax": np.exp(outputs)}.get(end)
    if end is None:
        others = np.exp(outputs).sum(-1, keepdims=True) if classes > 1 else 1 + np.exp(outputs)
        expected = np.exp(outputs) / others
    np.testing.assert_allclose(found.probabilities, expected[:, 0], atol=1e-6)
    behind = keras.Sequential([*model.layers[:-1], keras.layers.Dense(classes)])
    behind.add(keras.layers.Activation(end or "linear"))
    behind.build((None, 6, 8, 3))
    behind.set_weights(model.get_weights())
    same(ks.class_activation_maps(behind, IMAGES, 0), found)


def two_dense():
    return keras.Sequential([*classifier().layers, keras.layers.Dense(3)])


def with_relu_between():
    layers = classifier().layers
    return keras.Sequential(
        [keras.Input((6, 8, 3)), *layers[:-1], keras.layers.Activation("relu"), layers[-1]]
    )


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: ks.class_activation_maps("model", IMAGES), TypeError, "`model`"),
        (lambda: ks.class_activation_maps(two_dense(), IMAGES), ValueError, "`model`"),
        (lambda: ks.class_activation_maps(with_relu_between(), IMAGES), ValueError, "Activation"),
        (lambda: ks.class_activation_maps(classifier(("relu",)), IMAGES), ValueError, "relu in"),
        (lambda: ks.class_activation_maps(classifier(), IMAGES[0]), ValueError, "`images`"),
        (lambda: ks.class_activation_maps(classifier(), IMAGES[:0]), ValueError, "`images`"),
        (lambda: ks.class_activation_maps(classifier(), IMAGES, 7), ValueError, "`classes`"),
        (lambda: ks.class_activation_maps(classifier(), IMAGES, [1, 2]), ValueError, "`classes`"),
        (lambda: ks.class_activation_maps(classifier(), IMAGES, 0.5), TypeError, "`classes`"),
    ],
)
def test_bad_arguments_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
