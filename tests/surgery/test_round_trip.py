import keras
import numpy as np
import pytest

from keras_selectscale import strip_drops
from keras_selectscale.surgery.random_inputs import random_inputs

layers = keras.layers


@keras.saving.register_keras_serializable(package="tests")
class WantsATuple(layers.Layer):
    """A layer whose shape inference fails on a list, which is what a file makes of a tuple."""

    def __init__(self, rates, **kwargs):
        super().__init__(**kwargs)
        self.rates = rates

    def compute_output_shape(self, input_shape):
        return input_shape[:1] + (self.rates + (1,))[-1:]

    def call(self, inputs):
        return inputs[:, :1]

    def get_config(self):
        return {**super().get_config(), "rates": self.rates}


@keras.saving.register_keras_serializable(package="tests")
class Computes(WantsATuple):
    """A layer that computes something else with a list."""

    def compute_output_shape(self, input_shape):
        return input_shape

    def call(self, inputs):
        return inputs * (3.0 if isinstance(self.rates, tuple) else 1.0)


@keras.saving.register_keras_serializable(package="tests")
class Grows(Computes):
    """A layer that has other weights with a list."""

    def build(self, input_shape):
        size = 3 if isinstance(self.rates, tuple) else 1
        self.factor = self.add_weight(shape=(size, 1), name="factor", initializer="ones")


class Unregistered(layers.Layer):
    def call(self, inputs):
        return inputs


Unregistered.__module__ = "a_module_that_no_longer_exists"


@keras.saving.register_keras_serializable(package="tests")
class FromItsOwnConfig(keras.Model):
    """A Functional model that loads whatever the configs of its layers lack."""

    def __init__(self, layer=None, **kwargs):
        inputs = keras.Input((4,))
        inside = keras.Input((4,))
        culprit = WantsATuple((1, 2), name="culprit")
        block = keras.Model(inside, layers.Dropout(0.5)(culprit(inside)), name="block")
        outputs = block(layers.Dense(4)(inputs))
        super().__init__(inputs=inputs, outputs=outputs, **kwargs)

    def get_config(self):
        return {"name": self.name}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


@pytest.mark.filterwarnings("ignore:The model")
def test_a_stripped_model_whose_original_loads_is_refused_with_the_layer(tmp_path):
    model = FromItsOwnConfig()
    model.save(tmp_path / "model.keras")
    keras.models.load_model(tmp_path / "model.keras")
    with pytest.raises(TypeError):
        strip_drops(model).save(tmp_path / "stripped.keras")
        keras.models.load_model(tmp_path / "stripped.keras")
    with pytest.raises(ValueError, match=r"`model`.*'block/culprit' \(of type WantsATuple\)"):
        strip_drops(model, check=True)


@pytest.mark.parametrize(
    "layer, reason",
    [
        (lambda: Computes((1,), name="culprit"), "outputs differ"),
        (lambda: Grows((1,), name="culprit"), "The shape of"),
        (lambda: Unregistered(name="culprit"), "Unregistered"),
    ],
)
def test_a_layer_that_loads_as_another_or_not_at_all_is_named(layer, reason):
    inputs = keras.Input((None, 4))
    x = layers.Dense(4)(inputs)
    model = keras.Model(inputs, layer()(x))
    with pytest.raises(ValueError, match=rf"layer 'culprit'.*({reason})"):
        strip_drops(model, check=True)


def test_what_survives_comes_back_as_without_the_check():
    inputs = {
        "a": keras.Input((3, None), name="a"),
        "b": keras.Input((3,), dtype="int32", name="b"),
    }
    x = layers.Embedding(2, 5)(inputs["b"])
    x = layers.Lambda(lambda x: x + 1)(layers.Dropout(0.5)(x))
    x = layers.Add()([keras.ops.mean(inputs["a"], axis=-1), layers.Flatten()(x)[:, :3]])
    model = keras.Model(inputs, {"sum": x})
    model.compile("adam", "mse")
    stripped = strip_drops(model, check=True)
    assert stripped.compiled and not any("drop" in layer.name for layer in stripped.layers)
    values = {"a": np.ones((2, 3, 4), "float32"), "b": np.ones((2, 3), "int32")}
    found, expected = (keras.ops.convert_to_numpy(m(values)["sum"]) for m in (stripped, model))
    np.testing.assert_array_equal(found, expected)


def test_the_check_is_a_boolean():
    model = keras.Sequential([keras.Input((2,)), layers.Dense(1)])
    with pytest.raises(TypeError, match="`check`.*'yes'"):
        strip_drops(model, check="yes")


def test_random_inputs_are_of_the_right_kinds_and_of_several_sizes():
    specs = [
        keras.KerasTensor((None, None, 3)),
        keras.KerasTensor((None, 5), dtype="uint8"),
        keras.KerasTensor((None, 5), dtype="int32"),
        keras.KerasTensor((None,), dtype="string"),
        keras.KerasTensor((None, 2), dtype="bfloat16"),
    ]
    found = list(random_inputs(specs, [3, 1]))
    assert len({batches[0][0].shape for batches in found}) > 3
    for batches in found:
        assert [len(batch[0]) for batch in batches] == [3, 1]
        kinds = [str(array.dtype) for array in batches[0]]
        assert kinds == ["float32", "uint8", "int32", "object", "bfloat16"]
        assert set(np.unique(batches[0][2])) <= {0, 1}
    assert found[0][0][1].max() > 100 and set(np.unique(found[-1][0][0])) == {0, 1}
