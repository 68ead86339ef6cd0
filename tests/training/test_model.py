import keras
import numpy as np
import pytest

from keras_selectscale.training.model import released_models


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="TensorFlow's registry")
def test_what_a_fit_registers_is_forgotten_and_the_rest_kept():
    import tensorflow as tf
    from tensorflow.python.framework import ops

    @tf.custom_gradient
    def doubled(x):
        return 2 * x, lambda upstream: 7 * upstream

    outside = tf.function(lambda x: doubled(x))
    outside(tf.constant(1.0))
    before = set(ops.gradient_registry.list())
    assert [name for name in before if name.startswith("CustomGradient-")]
    with released_models():
        inside = tf.function(lambda x: doubled(x) + 1)
        inside(tf.constant(1.0))
        assert set(ops.gradient_registry.list()) > before
    assert set(ops.gradient_registry.list()) == before
    x = tf.constant(1.0)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = outside(x)
    assert float(tape.gradient(y, x)) == 7.0


def test_nothing_breaks_on_any_backend():
    with released_models():
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        model.fit(np.ones((4, 2)), np.ones(4), verbose=0)
