import os
import subprocess
import sys
import zipfile

import keras
import numpy as np
import pytest
from keras import layers

from keras_selectscale import (
    Selective,
    SelectScale,
    SpatialDropout,
    insert_drops,
    linear_curriculum,
    models,
    strip_drops,
)
from keras_selectscale.training import CoupledSGD
from tests.surgery.models import (
    IMAGE,
    assert_equal_to_the_bit,
    by_layer,
    everything_in,
    images,
    many_inputs,
    many_ways,
    randomize,
    sequential,
    small,
    walk,
)

DROP = SelectScale(top_rate=0.5, retaining_rate=0.2, seed=3)
OF_KERAS = {
    "Dropout": lambda: layers.Dropout(0.5),
    "SpatialDropout2D": lambda: layers.SpatialDropout2D(0.5),
    "GaussianDropout": lambda: layers.GaussianDropout(0.5),
    "GaussianNoise": lambda: layers.GaussianNoise(0.5),
    "AlphaDropout": lambda: layers.AlphaDropout(0.5),
}
# What a machine without this package does with a file.
LOADS = """
import sys
sys.modules["keras_selectscale"] = None  # An import of it fails.
import keras, numpy as np
model = keras.saving.load_model(sys.argv[1])
inputs = dict(np.load(sys.argv[2]))
outputs = model.predict(inputs if len(inputs) > 1 else list(inputs.values())[0], verbose=0)
np.savez(sys.argv[3], *keras.tree.flatten(outputs))
print(model.compiled)
"""


def load_without_the_package(model, inputs, folder):
    """Returns what a saved model predicts in a process that cannot import this package."""
    model.save(folder / "model.keras")
    np.savez(folder / "inputs.npz", **(inputs if isinstance(inputs, dict) else {"x": inputs}))
    done = subprocess.run(
        [sys.executable, "-c", LOADS, "model.keras", "inputs.npz", "outputs.npz"],
        cwd=folder,
        env={**os.environ, "KERAS_BACKEND": keras.backend.backend()},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    with np.load(folder / "outputs.npz") as outputs:
        return [outputs[name] for name in outputs.files], done.stdout.split()[-1] == "True"


@pytest.mark.parametrize("make, x", [(small, images()), (sequential, images()), (many_ways, None)])
def test_what_was_put_in_is_taken_out(make, x):
    x = many_inputs() if x is None else x
    model = make()
    after = ("shared", "last", "deep_relu") if make is many_ways else "conv"
    stripped = strip_drops(insert_drops(model, DROP, after=after, groups=(0,)))
    left = walk(stripped)
    if make is many_ways:  # Several outputs have their names from layers of their own.
        assert ("last_drop", ("last",)) in left
        left.remove(("last_drop", ("last",)))
    assert sorted(left) == sorted(walk(model))
    assert_equal_to_the_bit(model, stripped, x)
    theirs, ours = by_layer(model), by_layer(stripped)
    assert theirs.keys() == ours.keys()
    for key, value in theirs.items():
        np.testing.assert_array_equal(value, ours[key])


@pytest.mark.slow
def test_the_file_loads_without_this_package(tmp_path):
    network = models.build("resnet-8", drop=DROP, input_shape=(16, 16, 3))
    randomize(network)
    network.compile("adam", "mse")
    inputs = keras.Input((16, 16, 3))
    x = layers.Dropout(0.5)(network(inputs))
    model = keras.Model(inputs, keras.Sequential([layers.Dense(3), layers.GaussianNoise(1.0)])(x))
    model.compile("adam", "mse", metrics=["mae"])
    x = images(2, (16, 16, 3))
    (outputs,), compiled = load_without_the_package(strip_drops(model), x, tmp_path)
    np.testing.assert_array_equal(outputs, model.predict(x, verbose=0))
    assert compiled


@pytest.mark.parametrize("name", OF_KERAS)
def test_drops_of_keras_go_too_by_choice(name):
    inputs = keras.Input(IMAGE)
    x = layers.Conv2D(4, 3)(inputs)
    x = DROP.from_config({**DROP.get_config(), "name": "ours"})(x)
    x = OF_KERAS[name]()(x)
    model = randomize(keras.Model(inputs, layers.Flatten()(x)))

    def kinds(model):
        return [type(layer).__name__ for layer in model.layers]

    assert kinds(strip_drops(model)) == ["InputLayer", "Conv2D", "Flatten"]
    ours = strip_drops(model, which="selectscale")
    assert kinds(ours) == ["InputLayer", "Conv2D", name, "Flatten"]
    assert_equal_to_the_bit(model, ours, images())


def test_calls_in_training_selective_drops_and_schedules_go():
    inputs = keras.Input(IMAGE)
    x = layers.Conv2D(4, 3)(inputs)
    kept = x = layers.ReLU()(x)
    x = Selective(layers.GaussianDropout(0.5), top_rate=0.5)(x, training=True)
    x = SpatialDropout(retaining_rate=linear_curriculum(0.5, 10))(inputs=x, training=True)
    model = randomize(keras.Model(inputs, layers.Flatten()(x)))
    reference = keras.Model(inputs, layers.Flatten()(kept))
    stripped = strip_drops(model)
    assert len(model.weights) == len(stripped.weights) == 2
    assert_equal_to_the_bit(reference, stripped, images())


def test_models_of_nothing_but_drops():
    inner = keras.Sequential([keras.Sequential([SpatialDropout(retaining_rate=0.5)])])
    inputs = keras.Input(IMAGE)
    functional = keras.Model(inputs, DROP.from_config(DROP.get_config())(inputs))
    for model in (keras.Model(inputs, inner(inputs)), functional):
        stripped = strip_drops(model)
        assert not [
            x for x in everything_in(stripped) if isinstance(x, (SpatialDropout, SelectScale))
        ]
        assert_equal_to_the_bit(model, stripped, images())


def test_several_outputs_keep_their_names():
    inputs = keras.Input(IMAGE, name="images")
    x = layers.Conv2D(4, 3, name="conv")(inputs)
    model = keras.Model(
        inputs, [x, layers.Dropout(0.5, name="drop")(x), layers.Dropout(0.5, name="raw")(inputs)]
    )
    model.compile("sgd", loss={"conv": "mse", "drop": "mae", "raw": "mse"})
    stripped = strip_drops(model)
    assert stripped.output_names == ["conv", "drop", "raw"]
    assert {type(layer).__name__ for layer in stripped.layers} == {
        "InputLayer",
        "Conv2D",
        "Identity",
    }
    y = [np.zeros((3, 10, 8, 4)), np.zeros((3, 10, 8, 4)), np.zeros((3, *IMAGE))]
    loaded = keras.models.clone_model(stripped)
    loaded.set_weights(stripped.get_weights())
    expected = model.evaluate(images(), y, verbose=0)
    assert stripped.evaluate(images(), y, verbose=0) == expected
    assert loaded.evaluate(images(), y, verbose=0) == expected


def test_a_compilation_that_needs_this_package_is_left_out(tmp_path):
    for optimizer in (keras.optimizers.SGD(linear_curriculum(0.2, 10)), CoupledSGD()):
        model = insert_drops(small(), DROP)
        model.compile(optimizer, "mse")
        stripped = strip_drops(model)
        needs = isinstance(optimizer, CoupledSGD)  # PolynomialDecay is Keras' own.
        assert stripped.compiled is not needs and model.compiled
    # The file names nothing of this package: that such a one loads is tested above.
    stripped.save(tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "model.keras") as archive:
        assert "selectscale" not in archive.read("config.json").decode()
    model.save(tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "model.keras") as archive:
        assert "selectscale" in archive.read("config.json").decode()


class Block(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.inside = [layers.Conv2D(3, 1), SpatialDropout(retaining_rate=0.5, name="hidden")]

    def call(self, x, training=False):
        return self.inside[1](self.inside[0](x), training=training)


def in_a_block():
    inputs = keras.Input(IMAGE)
    return keras.Model(inputs, Block(name="block")(inputs)), "block/hidden"


def in_time_distributed():
    inputs = keras.Input((2, *IMAGE))
    drop = SpatialDropout(retaining_rate=0.5, name="hidden")
    inner = keras.Sequential([layers.Conv2D(2, 1), drop], name="inner")
    x = keras.Sequential([layers.TimeDistributed(inner, name="times")], name="outer")(inputs)
    return keras.Model(inputs, x), "outer/times/inner/hidden"


def in_bidirectional():
    inputs = keras.Input((5, 3))
    x = layers.Bidirectional(layers.LSTM(2, dropout=0.25), name="both")(inputs)
    return keras.Model(inputs, x), r"both/forward_lstm\w* \(dropout=0.25\)"


def in_attention():
    inputs = keras.Input((5, 3))
    x = layers.MultiHeadAttention(1, 2, dropout=0.5, name="heads")(inputs, inputs)
    return keras.Model(inputs, x), r"heads/dropout\w* \(Dropout\)"


@pytest.mark.parametrize("make", [in_a_block, in_time_distributed, in_bidirectional, in_attention])
def test_what_cannot_be_reached_is_said(make):
    model, path = make()
    with pytest.raises(ValueError, match=path):
        strip_drops(model)
    with pytest.warns(UserWarning, match=path):
        kept = strip_drops(model, unreachable="warn")
    assert len(kept.weights) == len(model.weights)


def test_layers_without_a_rate_are_no_drops():
    inputs = keras.Input((5, 3))
    x = layers.MultiHeadAttention(1, 2)(inputs, inputs)
    model = keras.Model(inputs, layers.LSTM(2)(x))
    assert_equal_to_the_bit(model, strip_drops(model), images(2, (5, 3)))


def test_layers_that_are_hard_to_copy():
    class Scale(layers.Layer):  # Neither registered nor with a config of its own.
        def __init__(self, factor=2.0, **kwargs):
            super().__init__(**kwargs)
            self.factor = factor

        def call(self, x):
            return x * self.factor

    def bent(x):
        return keras.ops.relu(x) - 0.25

    normalize = layers.Normalization(name="normalize")
    normalize.adapt(images(20))
    inputs = keras.Input(IMAGE)
    x = normalize(inputs)
    x = layers.Conv2D(4, 3, activation=bent)(x)
    x = layers.Lambda(lambda x: x + 1.0, output_shape=(10, 8, 4))(x)
    x = layers.Dropout(0.5)(Scale(3.0)(x))
    x = x * np.arange(4, dtype="float32") + keras.ops.transpose(x, (0, 1, 2, 3))
    x = keras.ops.concatenate([x, x[..., :2]], axis=-1)
    model = keras.Model(inputs, x)
    stripped = strip_drops(model)
    assert len(stripped.layers) == len(model.layers) - 1
    assert_equal_to_the_bit(model, stripped, images())


def test_a_layer_that_cannot_be_copied_is_named():
    class Closed(layers.Layer):
        def __init__(self, table, **kwargs):
            super().__init__(**kwargs)
            self.table = table

        def call(self, x):
            return x

    inputs = keras.Input(IMAGE)
    model = keras.Model(inputs, Closed(object(), name="closed")(inputs))
    with pytest.raises(ValueError, match="'closed' .*of type Closed.* cannot be copied"):
        strip_drops(model)


def test_weights_outside_of_the_graph_are_refused():
    model = small()
    model.add_weight(shape=(2,), name="stray")
    with pytest.raises(ValueError, match="in the layers of its graph.*stray"):
        strip_drops(model)


@pytest.mark.parametrize(
    "model, kwargs, error, words",
    [
        (small, {"which": "none"}, ValueError, "`which`"),
        (small, {"unreachable": "skip"}, ValueError, "`unreachable`"),
        (lambda: keras.Sequential([layers.Dropout(0.5)]), {}, ValueError, "must be built"),
        (lambda: DROP, {}, TypeError, "`model`"),
    ],
)
def test_bad_arguments_are_refused(model, kwargs, error, words):
    with pytest.raises(error, match=words):
        strip_drops(model(), **kwargs)
