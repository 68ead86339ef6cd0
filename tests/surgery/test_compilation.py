"""What of a compilation cannot be copied is said, and the rest is done."""

import warnings

import keras
import numpy as np
import pytest
from keras import layers

from keras_selectscale import strip_drops


class WithLossOfItsOwn(keras.Model):
    """Compiles otherwise than Keras."""

    def compile(self, optimizer, loss_function, weight=0.1):
        super().compile(optimizer=optimizer, loss=loss_function)
        self.weight = weight


class WithoutConfig(keras.optimizers.schedules.LearningRateSchedule):
    def __call__(self, step):
        return 0.1


def graph():
    inputs = keras.Input((4,))
    return inputs, layers.Dense(2)(layers.Dropout(0.5)(inputs))


def test_a_custom_compile_is_kept():
    model = WithLossOfItsOwn(*graph())
    model.compile("sgd", "mae", weight=0.3)
    stripped = strip_drops(model)
    assert stripped.compiled and stripped.loss == "mae" and stripped.weight == 0.3
    assert stripped.optimizer is not model.optimizer


def test_an_optimizer_that_cannot_be_copied_is_left_out_with_a_warning():
    model = keras.Model(*graph())
    model.compile(keras.optimizers.SGD(WithoutConfig()), "mse")
    with pytest.warns(UserWarning, match="not compiled: an object in it cannot be copied"):
        assert not strip_drops(model).compiled


def test_an_optimizer_that_does_not_scale_is_not_wrapped():
    before = keras.config.dtype_policy()
    try:
        keras.config.set_dtype_policy("mixed_float16")
        scaled, plain = (keras.Model(*graph()) for _ in range(2))
    finally:
        keras.config.set_dtype_policy(before)
    scaled.compile("sgd", "mse")
    plain.compile("sgd", "mse", auto_scale_loss=False)
    wrapped = keras.optimizers.LossScaleOptimizer
    assert isinstance(strip_drops(scaled).optimizer, wrapped)
    assert not isinstance(strip_drops(plain).optimizer, wrapped)


def test_nothing_is_said_of_a_plain_compilation():
    model = keras.Model(*graph())
    model.compile("adam", "mse", metrics=["mae"])
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        stripped = strip_drops(model)
    stripped.fit(np.zeros((4, 4)), np.zeros((4, 2)), verbose=0)
