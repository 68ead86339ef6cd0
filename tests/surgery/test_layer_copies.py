"""Copies of layers whose state is no variable, or whose config does not say all."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_selectscale import SpatialDropout, insert_drops, strip_drops

BACKEND = keras.backend.backend()


def difference(model, other, x):
    theirs, ours = (keras.ops.convert_to_numpy(m(x)) for m in (model, other))
    assert np.ptp(theirs) > 0, "nothing is compared"
    return np.abs(theirs - ours).max()


def test_the_bins_of_an_adapted_discretization_come_along():
    x = np.random.default_rng(0).normal(size=(30, 4)).astype("float32")
    bins = layers.Discretization(num_bins=4)
    bins.adapt(x)
    embedding = layers.Embedding(30, 3)
    model = keras.Sequential(
        [keras.Input((4,)), bins, embedding, layers.Flatten(), layers.Dropout(0.5)]
    )
    stripped = strip_drops(model)
    assert list(stripped.layers[0].bin_boundaries) == list(bins.bin_boundaries) != []
    assert difference(model, stripped, x) == 0


@pytest.mark.skipif(BACKEND != "tensorflow", reason="text is TensorFlow's")
def test_the_weights_of_words_come_along():
    import tensorflow as tf

    words = layers.TextVectorization(output_mode="tf_idf")
    words.adapt(["a b c", "d e a"])
    model = keras.Sequential(
        [keras.Input((1,), dtype="string"), words, layers.Dropout(0.5), layers.Dense(2)]
    )
    text = tf.constant([["a b"], ["e a zz"]])
    assert difference(model, strip_drops(model), text) == 0


def test_a_sequential_model_with_a_mask_is_rewritten():
    model = keras.Sequential(
        [
            layers.Embedding(20, 4, mask_zero=True),
            layers.Dropout(0.5),
            layers.LSTM(3),
            layers.Dense(2),
        ]
    )
    model.build((None, 5))
    tokens = np.array([[1, 2, 0, 0, 0], [3, 0, 0, 0, 0]])
    drop = SpatialDropout(retaining_rate=0.5)
    for twin in (strip_drops(model), insert_drops(model, drop, after=layers.Embedding)):
        assert difference(model, twin, tokens) == 0


class Block(layers.Layer):
    """Makes its layers under the policy of the moment, in `__init__` and in `build`."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.convolution = layers.Conv2D(4, 3)

    def build(self, shape):
        self.convolution.build(shape)
        self.norm = layers.LayerNormalization()
        self.norm.build(self.convolution.compute_output_shape(shape))

    def compute_output_shape(self, shape):
        return self.convolution.compute_output_shape(shape)

    def call(self, x):
        return self.norm(self.convolution(x))


@pytest.mark.parametrize("sequential", [False, True])
@pytest.mark.parametrize(
    "built, now", [("mixed_bfloat16", "float32"), ("float32", "mixed_bfloat16")]
)
def test_the_policy_of_the_moment_does_not_reach_the_copy(built, now, sequential):
    before = keras.config.dtype_policy()
    try:
        keras.config.set_dtype_policy(built)
        if sequential:
            model = keras.Sequential([keras.Input((6, 5, 3)), Block(), layers.Dropout(0.5)])
        else:
            inputs = keras.Input((6, 5, 3))
            model = keras.Model(inputs, layers.Dropout(0.5)(Block()(inputs)))
        keras.config.set_dtype_policy(now)
        stripped = strip_drops(model)
        assert keras.config.dtype_policy().name == now
    finally:
        keras.config.set_dtype_policy(before)
    policies = [
        layer.dtype_policy.name
        for layer in stripped._flatten_layers()
        if isinstance(layer, (layers.Conv2D, layers.LayerNormalization))
    ]
    assert policies == [built, built]
    x = np.random.default_rng(0).normal(size=(2, 6, 5, 3)).astype("float32")
    assert difference(model, stripped, x) == 0


def test_what_a_recurrent_layer_keeps_comes_along():
    inputs = keras.Input(batch_shape=(2, 5, 3))
    kept = layers.LSTM(3, stateful=True)
    model = keras.Model(inputs, layers.Dense(2)(layers.Dropout(0.5)(kept(inputs))))
    x = np.random.default_rng(0).normal(size=(2, 5, 3)).astype("float32")
    model(x)
    assert np.any(keras.ops.convert_to_numpy(kept.states[0]) != 0)
    assert difference(model, strip_drops(model), x) == 0
