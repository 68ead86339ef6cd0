import math

import keras
import ml_dtypes
import numpy as np
import pytest

from keras_selectscale.exporting.comparison import (
    difference,
    largest_difference,
    made_up_inputs,
    tolerance_of,
)
from keras_selectscale.exporting.formats import Consumer
from keras_selectscale.exporting.inference import trace_inference
from keras_selectscale.exporting.signature import signature_of
from tests.exporting.models import MODELS


@pytest.mark.parametrize(
    "found, expected, apart",
    [
        ([1.0, 2.0], [1.0, 2.0], 0.0),
        ([0.5, 0.25], [0.5, 0.5], 0.25),
        ([4.0, -8.0], [4.0, -10.0], 0.2),
        ([math.nan, math.inf], [math.nan, math.inf], 0.0),
        ([math.nan, 1.0], [1.0, 1.0], math.inf),
        ([math.inf], [-math.inf], math.inf),
        ([1.0], [1.0, 1.0], math.inf),
        (["a"], ["a"], 0.0),
        (["a"], ["b"], math.inf),
    ],
)
def test_the_difference_of_two_outputs(found, expected, apart):
    assert difference(np.array(found), np.array(expected)) == pytest.approx(apart)


def test_the_difference_of_a_narrow_dtype():
    one = np.ones(2, ml_dtypes.bfloat16)
    assert difference(one, one + one) == pytest.approx(0.5)


def test_made_up_inputs_are_several_batches_of_the_right_kind():
    batches = next(made_up_inputs(signature_of(MODELS["dicts"]())))
    assert [len(batch["words"]) for batch in batches] == [3, 1]
    for batch in batches:
        assert batch["image"].dtype == "uint8" and batch["image"].max() > 100
        assert batch["words"].dtype == "int32" and set(np.unique(batch["words"])) <= {0, 1}
    assert [len(b["inputs"]) for b in next(made_up_inputs(signature_of(MODELS["fixed_batch"]())))]
    sizes = [b[0]["photo"].shape[1] for b in made_up_inputs(signature_of(MODELS["nested"]()))]
    assert len(set(sizes)) > 3


def consumer(names):
    return Consumer(names, lambda inputs: {"y": inputs[names[0]] - inputs[names[1]]})


def test_inputs_are_matched_by_name_by_the_names_of_keras_or_by_number():
    signature = signature_of(MODELS["several"]())
    batch = {"input_0": np.full((2, 3), 5.0), "class_": np.full((2, 3), 1.0)}
    expected = [{"y": np.full((2, 3), 4.0)}]
    assert largest_difference(consumer(["input_0", "class_"]), signature, [batch], expected) == 0
    other = list(signature.other_names)
    assert largest_difference(consumer(other), signature, [batch], expected) == 0
    assert largest_difference(consumer(["a_1", "a_2"]), signature, [batch], expected) == 0
    turned = Consumer(["class_", "input_0"], consumer(["input_0", "class_"]).run)
    assert largest_difference(turned, signature, [batch], expected) == 0
    with pytest.raises(ValueError, match="inputs are"):
        largest_difference(consumer(["p", "q"]), signature, [batch], expected)


def deep(gain):
    """Returns a deep network that multiplies rounding errors with `gain` per layer."""
    inputs = x = keras.Input((16,))
    scaling = keras.initializers.VarianceScaling(gain, seed=1)
    for _ in range(30):
        x = keras.layers.Dense(16, activation="tanh", kernel_initializer=scaling)(x)
    return keras.Model(inputs, x)


@pytest.mark.usefixtures("on_tensorflow")
@pytest.mark.parametrize("gain, low, high", [(0.5, 1e-5, 1e-5), (8.0, 1.1e-5, 1e-3)])
def test_the_tolerance_follows_the_noise_of_float32(gain, low, high):
    model = deep(gain)
    signature = signature_of(model)
    inference = trace_inference(model, signature)
    batches = next(made_up_inputs(signature))
    expected = [inference.run(batch) for batch in batches]
    before = model.get_weights()
    tolerance = tolerance_of(inference, model, batches, expected, 1e-5)
    assert low <= tolerance <= high
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
