import keras
import numpy as np
import pytest

from keras_selectscale.surgery.switching import drops_off
from tests.exporting.models import MODELS


@pytest.mark.parametrize("kind", ["subclassed", "monte_carlo"])
def test_no_drop_acts_within_and_all_do_again_after_an_error(kind):
    model = MODELS[kind]()
    if kind == "subclassed":
        x = {"image": np.ones((2, 6, 7, 3), "float32"), "steps": np.ones((2, 3, 4), "float32")}
    else:
        x = np.ones((2, 8, 12, 4), "float32")

    def outputs():
        return [keras.ops.convert_to_numpy(y) for y in keras.tree.flatten(model(x))]

    def differ():
        return any(np.any(a != b) for a, b in zip(outputs(), outputs(), strict=True))

    assert differ()
    with pytest.raises(KeyError), drops_off(model):
        assert not differ()
        raise KeyError
    assert differ()


def test_a_shared_drop_is_switched_once():
    drop = keras.layers.Dropout(0.5)
    inputs = keras.Input((4,))
    model = keras.Model(inputs, drop(drop(inputs)))
    with drops_off(model):
        x = np.ones((2, 4), "float32")
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(model(x, training=True)), x)
    assert "call" not in vars(drop)


def test_recurrent_layers_get_their_rates_back_and_keep_their_state():
    model = MODELS["recurrent"]()
    lstm, gru = model.layers[1:]
    with drops_off(model):
        assert lstm.dropout == 0.0 and gru.recurrent_dropout == 0.0
    assert lstm.dropout == 0.5 and gru.recurrent_dropout == 0.5
