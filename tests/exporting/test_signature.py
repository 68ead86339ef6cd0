import keras
import numpy as np
import pytest

from keras_selectscale.exporting.inference import output_names
from keras_selectscale.exporting.signature import signature_of, unique
from tests.exporting.models import MODELS

layers = keras.layers


@pytest.mark.parametrize(
    "make, inputs",
    [
        ("several", {"input_0": (None, 3), "class_": (None, 3)}),
        ("dicts", {"image": (None, 6, 6, 2), "words": (None, 5)}),
        ("nested", {"photo": (None, None, None, 3)}),
        ("sequential", {"inputs": (None, 9, 2)}),
        ("fixed_batch", {"inputs": (None, 5, 3)}),
        ("recurrent", {"inputs": (2, 5, 3)}),
        ("subclassed", {"image": (None, 6, 7, 3), "steps": (None, 3, 4)}),
    ],
)
def test_names_and_shapes_of_the_inputs(make, inputs):
    signature = signature_of(MODELS[make]())
    shapes = [spec.shape for spec in signature.specs]
    assert dict(zip(signature.names, shapes, strict=True)) == inputs
    assert signature.batch_size == {"fixed_batch": 4, "recurrent": 2}.get(make)


def test_names_and_dtypes_do_not_hang_on_what_was_made_before():
    first = signature_of(MODELS["several"]())
    assert signature_of(MODELS["several"]()).names == first.names
    assert [spec.dtype for spec in signature_of(MODELS["dicts"]()).specs] == ["uint8", "int32"]


def test_the_arguments_are_packed_as_the_model_takes_them():
    assert signature_of(MODELS["dicts"]()).pack([1, 2]) == ({"image": 1, "words": 2},)
    assert signature_of(MODELS["several"]()).pack([1, 2]) == ([1, 2],)
    inputs = keras.Input((3,))
    assert signature_of(keras.Model([inputs], layers.Dense(1)(inputs))).pack([1]) == (1,)


@pytest.mark.parametrize(
    "make, names",
    [
        ("several", ("shared", "shared_1", "apart")),
        ("dicts", ("label", "score")),
        ("monte_carlo", ("means",)),
        ("subclassed", ("maps", "rest_0")),
    ],
)
def test_names_of_the_outputs(make, names):
    model = MODELS[make]()
    signature = signature_of(model)
    shapes = [(2, *(size or 16 for size in spec.shape[1:])) for spec in signature.specs]
    specs = zip(shapes, signature.specs, strict=True)
    inputs = [np.zeros(shape, spec.dtype) for shape, spec in specs]
    assert output_names(model, model(*signature.pack(inputs))) == names


def test_outputs_without_a_name_are_numbered():
    class Two(keras.Model):
        def call(self, inputs):
            return inputs, [inputs]

    assert output_names(Two(), (1, [2])) == ("output_0", "output_1")


def test_names_are_different_identifiers():
    names = ["a/b", "a:b", "3rd", "class", "_x", "ä", "a_b", "a_b_1"]
    found = unique(names)
    assert len(set(found)) == len(names)
    assert all(name.isidentifier() and name.isascii() and name[0] != "_" for name in found)
    assert found[0] == "a_b" and found[3] == "class_"


def test_no_model_is_refused():
    with pytest.raises(TypeError, match="`model`.*Dense"):
        signature_of(layers.Dense(1))


@pytest.mark.parametrize("kind", ["sequential", "subclassed"])
def test_an_unbuilt_model_is_refused(kind):
    class Own(keras.Model):
        def call(self, inputs):
            return inputs

    model = keras.Sequential([layers.Dense(1)]) if kind == "sequential" else Own()
    with pytest.raises(ValueError, match="`model`.*built"):
        signature_of(model)


def test_a_call_of_several_arguments_is_refused_with_what_to_do():
    class Two(keras.Model):
        def call(self, first, second):
            return first + second

    model = Two()
    model(np.zeros((1, 2), "float32"), np.zeros((1, 2), "float32"))
    with pytest.raises(ValueError, match=r"dict or list.*\['first', 'second'\]"):
        signature_of(model)


def test_a_call_of_several_arguments_is_known_where_build_names_their_shapes():
    class Two(keras.Model):
        def build(self, first_shape, second_shape):
            self.built = True

        def call(self, first, second):
            return first + second

    model = Two()
    model(np.zeros((1, 2), "float32"), np.zeros((1, 2), "float32"))
    assert signature_of(model).names == ("first", "second")
    assert signature_of(model).pack([1, 2]) == (1, 2)


def test_a_sequential_model_has_the_names_of_its_inputs():
    model = keras.Sequential([keras.Input((4,), name="features"), keras.layers.Dense(2)])
    assert signature_of(model).names == ("features",)


def test_a_subclassed_model_that_looks_up_numbers_is_refused_in_half_precision():
    class Tokens(keras.Model):
        def __init__(self):
            super().__init__(dtype="mixed_bfloat16")
            self.embedding = keras.layers.Embedding(2000, 4, dtype="mixed_bfloat16")

        def call(self, x):
            return self.embedding(x)

    model = Tokens()
    model(np.zeros((2, 3), "int32"))
    with pytest.raises(ValueError, match="must be a Functional model.*bfloat16.*Embedding"):
        signature_of(model)
