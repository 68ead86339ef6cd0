import keras
import numpy as np
import pytest
from keras import layers

from keras_selectscale import (
    Selective,
    SelectScale,
    SpatialDropout,
    drops_active,
    insert_drops,
    linear_curriculum,
    strip_drops,
)
from tests.surgery.models import IMAGE, images, small

DROP = SpatialDropout(retaining_rate=0.5, seed=3)


def numpy(x):
    return keras.ops.convert_to_numpy(x)


def ways(model):
    """The ways to ask a model, none of them in training."""
    x = images(4)
    return {
        "call": lambda: numpy(model(x)),
        "training=False": lambda: numpy(model(x, training=False)),
        "predict": lambda: model.predict(x, verbose=0),
        "predict_on_batch": lambda: numpy(model.predict_on_batch(x)),
        "evaluate": lambda: np.array(model.evaluate(x, np.zeros((4, 3)), verbose=0)),
    }


def compiled(drop=DROP):
    model = insert_drops(small(), drop)
    model.compile("sgd", "mse")
    return model


def test_on_inside_and_off_before_and_after_in_every_way():
    model = compiled()
    asked = ways(model)
    quiet = {name: ask() for name, ask in asked.items()}
    for _ in range(2):
        with drops_active(model):
            loud = {name: [ask(), ask()] for name, ask in asked.items()}
        for name, ask in asked.items():
            first, second = loud[name]
            assert not np.array_equal(first, second), name
            assert not np.array_equal(first, quiet[name]), name
            np.testing.assert_array_equal(ask(), quiet[name])


def test_a_model_that_predicts_inside_first_is_quiet_after():
    model = compiled()
    with drops_active(model):
        assert not np.array_equal(*(model.predict(images(), verbose=0) for _ in range(2)))
    np.testing.assert_array_equal(
        model.predict(images(), verbose=0), strip_drops(model).predict(images(), verbose=0)
    )


def test_every_draw_is_that_of_the_drop_and_batch_norm_stays_in_inference():
    inputs = keras.Input((4, 3, 6))
    norm = layers.BatchNormalization(name="norm")
    x = SpatialDropout(retaining_rate=0.5, seed=1)(norm(inputs))
    model = keras.Model(inputs, x)
    norm.set_weights([np.ones(6), np.zeros(6), np.full(6, -2.0), np.ones(6)])
    before = model.get_weights()
    expected = numpy(norm(np.ones((5, 4, 3, 6)), training=False))
    with drops_active(model):
        outputs = model.predict(np.ones((5, 4, 3, 6)), verbose=0)
    factors = outputs / expected
    assert {0.0, 2.0} == set(np.unique(factors).round(5))
    assert np.ptp(factors, axis=(1, 2)).max() < 1e-5  # One factor a feature map.
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_off_again_after_an_exception_and_contexts_nest():
    model = compiled()
    quiet = numpy(model(images()))
    with pytest.raises(RuntimeError), drops_active(model):
        raise RuntimeError
    np.testing.assert_array_equal(numpy(model(images())), quiet)
    with drops_active(model):
        with drops_active(model):
            assert np.any(numpy(model(images())) != quiet)
        assert np.any(numpy(model(images())) != quiet)
        assert np.any(model.predict(images(), verbose=0) != quiet)
    np.testing.assert_array_equal(numpy(model(images())), quiet)
    assert not any("call" in vars(layer) for layer in model.layers)


def test_what_was_traced_before_comes_back_unless_the_model_was_compiled_inside():
    model = compiled()
    model.predict(images(), verbose=0)
    before = model.predict_function
    with drops_active(model):
        assert model.predict_function is None
        model.predict(images(), verbose=0)
    assert model.predict_function is before
    with drops_active(model):
        model.compile("sgd", "mae")
        model.predict(images(), verbose=0)
    assert model.predict_function is None


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.drop = SpatialDropout(retaining_rate=0.5, seed=1)

    def call(self, x):  # The flag is not passed on.
        return self.drop(x)


def nested():
    inputs = keras.Input(IMAGE)
    return keras.Model(inputs, keras.Sequential([keras.Sequential([layers.Dropout(0.5)])])(inputs))


def time_distributed():
    inputs = keras.Input(IMAGE)
    return keras.Model(inputs, layers.TimeDistributed(SpatialDropout(retaining_rate=0.5))(inputs))


def called_with_the_flag_off():
    inputs = keras.Input(IMAGE)
    drop = Selective(layers.GaussianDropout(0.5), top_rate=0.9)
    return keras.Model(inputs, drop(inputs, training=False))


@pytest.mark.parametrize("make", [Subclassed, nested, time_distributed, called_with_the_flag_off])
def test_drops_are_reached_wherever_they_are(make):
    model = make()
    np.testing.assert_array_equal(model(images()), images())
    with drops_active(model):
        assert np.any(numpy(model(images())) != images())
        assert np.any(model.predict(images(), verbose=0) != images())
    np.testing.assert_array_equal(model(images()), images())


def test_those_of_keras_by_choice():
    model = nested()
    with (
        pytest.raises(ValueError, match="drop layer of this package that"),
        drops_active(model, which="selectscale"),
    ):
        pass


def test_the_count_of_a_schedule_stands_still_and_its_rate_holds():
    inputs = keras.Input(IMAGE)
    schedule = linear_curriculum(0.0, 2)
    drop = SelectScale(top_rate=1.0, retaining_rate=schedule, seed=1)
    model = keras.Model(inputs, drop(inputs))
    drop.training_calls.assign(1)
    x = np.ones((40, *IMAGE), "float32")
    with drops_active(model):
        for _ in range(3):
            factors = model.predict(x, verbose=0)
            assert factors.min() >= 0.5 and factors.max() <= 1.5 and np.ptp(factors) > 0.8
    assert int(drop.training_calls) == 1


@pytest.mark.parametrize(
    "model, kwargs, error, words",
    [
        (small, {}, ValueError, "`model` must have a drop layer"),
        (lambda: 3, {}, TypeError, "`model`"),
        (small, {"which": "none"}, ValueError, "`which`"),
    ],
)
def test_bad_arguments_are_refused(model, kwargs, error, words):
    with pytest.raises(error, match=words), drops_active(model(), **kwargs):
        pass
