"""The checks that Keras makes of its own layers."""

import keras
import pytest
from keras.src import testing

from keras_selectscale import (
    Selective,
    Selectout,
    SelectScale,
    SpatialDropout,
    SpatialScale,
    StandardDropout,
    linear_curriculum,
)
from keras_selectscale.layers.methods import METHODS, PAPER_METHODS

SHAPES = [(2, 3, 6), (2, 3, 5, 6), (2, 3, 1, 4, 6)]
RATE = {"retaining_rate": 0.6, "seed": 1}
TOP = {"retaining_rate": 0.8, "top_rate": 0.5, "seed": 1}
SCHEDULED = {**TOP, "retaining_rate": linear_curriculum(0.8, 10)}
ALL = [
    (StandardDropout, RATE, 0),
    (SpatialDropout, RATE, 0),
    (SpatialScale, RATE, 0),
    (Selectout, TOP, 0),
    (SelectScale, TOP, 0),
    (SelectScale, {**TOP, "score": "average_pool", "data_format": "channels_first"}, 0),
    (Selectout, SCHEDULED, 1),
    (SelectScale, SCHEDULED, 1),
    *(
        (method.layer, {**method.defaults, "seed": 1}, 0)
        for name, method in METHODS.items()
        if name not in PAPER_METHODS
    ),
]


class LayerContract(testing.TestCase):
    """Lends `run_layer_test` to the functions below."""

    __test__ = False

    def runTest(self):
        """Stands for the test that `unittest` asks for."""


def check(layer, arguments, shape, counts, seeds=1):
    LayerContract().run_layer_test(
        layer,
        init_kwargs=arguments,
        input_shape=shape,
        expected_output_shape=shape,
        expected_output_dtype="float32",
        expected_num_trainable_weights=0,
        expected_num_non_trainable_weights=0,
        expected_num_non_trainable_variables=counts + seeds,
        expected_num_seed_generators=seeds,
        expected_num_losses=0,
        supports_masking=True,
    )


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: f"rank{len(shape)}")
@pytest.mark.parametrize(("layer", "arguments", "counts"), ALL)
def test_layers(layer, arguments, counts, shape):
    check(layer, arguments, shape, counts)


@pytest.mark.parametrize("call", [{"training": True}, {"training": False}])
@pytest.mark.parametrize(("layer", "arguments", "counts"), ALL)
def test_layers_in_training(layer, arguments, counts, call):
    LayerContract().run_layer_test(
        layer,
        init_kwargs=arguments,
        input_shape=(2, 3, 5, 6),
        call_kwargs=call,
        expected_output_shape=(2, 3, 5, 6),
        run_training_check=False,
    )


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: f"rank{len(shape)}")
@pytest.mark.parametrize(
    ("drop", "counts"),
    [
        (SpatialScale(retaining_rate=0.5, seed=2), 0),
        (SpatialScale(retaining_rate=linear_curriculum(0.5, 10), seed=2), 1),
        (keras.layers.GaussianDropout(0.2, seed=2), 0),
    ],
)
def test_selective(drop, counts, shape):
    drop = type(drop).from_config(drop.get_config())
    check(Selective, {"drop": drop, "top_rate": 0.5}, shape, counts)
