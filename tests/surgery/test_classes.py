"""Rebuilt models keep their class, its methods and its attributes."""

import pickle
import warnings

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_selectscale import SpatialDropout, drops_active, insert_drops, strip_drops
from tests.surgery.models import randomize

DROP = SpatialDropout(retaining_rate=0.5, seed=1)
X = np.random.default_rng(0).uniform(1, 255, size=(3, 8, 8, 3)).astype("float32")


def graph(width=4):
    inputs = keras.Input((8, 8, 3), name="images")
    x = layers.Conv2D(width, 3, activation="relu", name="one")(inputs)
    x = layers.Conv2D(width, 3, name="two")(x)
    x = layers.Dropout(0.5, name="output_dropout")(layers.GlobalAveragePooling2D()(x))
    return inputs, layers.Dense(2, name="logits")(x)


class Task(keras.Model):
    """Preprocesses in `predict`, and has attributes of all kinds, like a task of KerasHub."""

    def __init__(self, width, scale=1 / 255):
        super().__init__(*graph(width))
        self.width, self.scale = width, scale
        self.features = {"one": self.get_layer("one").output}
        self.stages = [self.get_layer("one"), (self.get_layer("two"), "two")]
        self.output_dropout = self.get_layer("output_dropout")
        self.preprocessor = layers.Rescaling(scale)
        self.tracker = keras.metrics.Mean(name="tracker")
        self.augment = keras.random.SeedGenerator(3)
        self.extractor = keras.Model(self.inputs, self.features)
        self.decoder = layers.Dense(3, name="decoder")
        self.decoder.build((None, 2))
        conv = self.get_layer("one")
        self.bias = lambda: conv.bias
        self.step = self.decode

    def decode(self, x):
        return self.decoder(x)

    def predict(self, x, **kwargs):
        return super().predict(self.preprocessor(x), **kwargs)


class Strict(keras.Model):
    def __init__(self, inputs, outputs, *, needed, **kwargs):
        super().__init__(inputs, outputs, **kwargs)
        self.needed = needed


class Passing(Strict):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)


class Ignoring(keras.Model):
    """Builds its own network whatever it gets."""

    def __init__(self, *args, **kwargs):
        super().__init__(*graph())

    def train_step(self, *args):
        return super().train_step(*args)


class Doubling(keras.Sequential):
    def __init__(self, width):
        super().__init__(
            [keras.Input((8, 8, 3)), layers.Conv2D(width, 3), layers.Conv2D(2, 3), layers.Flatten()]
        )

    def predict(self, x, **kwargs):
        return super().predict(2 * x, **kwargs)


MODELS = {
    "Task": lambda: Task(5),
    "Passing": lambda: Passing(*graph(), needed=3),
    "Ignoring": Ignoring,
    "Doubling": lambda: Doubling(3),
}


@pytest.mark.parametrize("copy", [True, False])
@pytest.mark.parametrize("name", MODELS)
def test_a_class_with_its_own_constructor_keeps_its_methods(name, copy):
    model = randomize(MODELS[name]())
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        new = insert_drops(model, DROP, copy=copy)
        stripped = strip_drops(new, copy=copy)
    expected = model.predict(X, verbose=0)
    for other in (new, stripped):
        assert isinstance(other, type(model))
        np.testing.assert_array_equal(other.predict(X, verbose=0), expected)
    assert any(isinstance(layer, SpatialDropout) for layer in new.layers)


def test_attributes_belong_to_the_new_model():
    model = randomize(Task(5))
    model.tracker.update_state(7.0)
    new = insert_drops(model, DROP, after="one")
    assert (new.width, new.scale) == (5, 1 / 255)
    assert new.features["one"] is new.get_layer("one_drop").output
    assert new.stages[0] is new.get_layer("one")
    assert new.stages[1][0] is new.get_layer("two") and new.stages[1][1] == "two"
    assert new.output_dropout is new.get_layer("output_dropout")
    assert new.tracker is not model.tracker and float(new.tracker.result()) == 0
    assert new.augment is not model.augment
    assert new.bias() is new.get_layer("one").bias
    assert new.step.__self__ is new
    extracted = new.extractor.get_layer("one"), new.extractor.get_layer("one_drop")
    assert extracted == (new.get_layer("one"), new.get_layer("one_drop"))
    # A layer outside of the graph is copied with its weights.
    assert new.decoder is not model.decoder
    np.testing.assert_array_equal(new.decoder.get_weights()[0], model.decoder.get_weights()[0])
    assert len(new.weights) == len(model.weights)
    # One without variables has nothing to be copied.
    assert new.preprocessor is model.preprocessor


def test_a_drop_that_is_an_attribute_is_stripped_too():
    stripped = strip_drops(insert_drops(Task(5), DROP))
    assert type(stripped.output_dropout) is layers.Identity
    with pytest.raises(ValueError, match="must have a drop layer"), drops_active(stripped):
        pass


def test_its_files_hold_a_plain_model_with_the_drops_and_say_so(tmp_path):
    model = insert_drops(randomize(Task(5)), DROP)
    model.compile("adam", "mse")
    with pytest.warns(UserWarning, match="plain Functional, without the predict of Task. Preproc"):
        model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert not isinstance(loaded, Task) and loaded.compiled
    assert [layer.name for layer in loaded.layers] == [layer.name for layer in model.layers]
    with pytest.warns(UserWarning, match="predict of Task"):
        pickled = pickle.loads(pickle.dumps(model))
    cloned = keras.models.clone_model(model)
    cloned.set_weights(loaded.get_weights())
    for other in (loaded, pickled, cloned):
        np.testing.assert_array_equal(*(ops.convert_to_numpy(m(X)) for m in (model, other)))


def test_a_class_that_keras_would_make_again_stays_the_class_itself():
    class Same(keras.Model):
        def train_step(self, *args):
            return super().train_step(*args)

    class Tempered(keras.Model):
        def __init__(self, *args, temperature=1.0, **kwargs):
            super().__init__(*args, **kwargs)
            self.temperature = temperature

        def get_config(self):
            return {**super().get_config(), "temperature": self.temperature}

    model = Tempered(*graph(), temperature=4.0)
    new = insert_drops(model, DROP)
    assert type(new) is Tempered and new.get_config()["temperature"] == 4.0
    assert type(insert_drops(Same(*graph()), DROP)) is Same
    assert type(strip_drops(new)) is Tempered


def test_a_model_with_an_attribute_of_another_graph_becomes_plain_with_a_warning():
    model = Task(5)
    model.other = keras.Input((3,))
    with pytest.warns(UserWarning, match="plain Functional.*`other`.*It loses predict.*preproc"):
        new = insert_drops(model, DROP)
    assert not isinstance(new, Task)
    np.testing.assert_array_equal(*(ops.convert_to_numpy(m(X)) for m in (model, new)))
