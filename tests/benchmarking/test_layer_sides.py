import keras
import pytest

from keras_selectscale import SelectScale
from keras_selectscale.benchmarking import layer_sides
from keras_selectscale.benchmarking.layer_sides import SIDES, make_layer, moved_bytes


@pytest.mark.parametrize("name", SIDES)
def test_a_side_is_a_layer_of_its_class_that_drops_half(name):
    layer = make_layer(name, dtype="bfloat16", seed=3)
    assert type(layer) is SIDES[name].layer and layer.compute_dtype == "bfloat16"
    inner = getattr(layer, "drop", layer)
    assert inner.seed == 3
    assert getattr(inner, "rate", None) == 0.5 or inner.retaining_rate == 0.5
    assert getattr(layer, "top_rate", 0.5) == 0.5
    assert hasattr(layer, "top_rate") == SIDES[name].selects


def test_none_is_no_layer():
    assert make_layer("none", dtype="float32", seed=0) is None


@pytest.mark.parametrize(
    "name, tensors",
    [
        ("none", 0),
        ("copy", 2),
        ("keras-spatial-dropout", 4),
        ("keras-dropout", 4),
        ("spatial-scale", 4),
        ("selectout", 5),
        ("selectscale", 5),
        ("selective-spatial-scale", 5),
    ],
)
def test_the_bytes_that_must_move(name, tensors):
    assert moved_bytes(name, 1000) == 1000 * tensors


class Told(SelectScale):
    def __init__(self, *, non_negative=None, **kwargs):
        super().__init__(**kwargs)
        self.non_negative = non_negative


class ToldToo(Told):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)


@pytest.mark.parametrize("layer", [Told, ToldToo])
@pytest.mark.parametrize("non_negative", [True, False])
def test_a_layer_that_takes_it_is_told_that_nothing_is_negative(monkeypatch, layer, non_negative):
    side = layer_sides.LayerSide("told", layer_sides._selecting(layer), layer, True)
    monkeypatch.setitem(SIDES, "told", side)
    made = make_layer("told", dtype=None, seed=0, non_negative=non_negative)
    assert made.non_negative == (True if non_negative else None)


def test_a_layer_that_does_not_take_it_is_not():
    made = make_layer("keras-dropout", dtype=None, seed=0, non_negative=True)
    assert isinstance(made, keras.layers.Dropout)
    assert not layer_sides.takes(keras.layers.SpatialDropout2D, "non_negative")
    assert layer_sides.takes(SelectScale, "retaining_rate")
    assert layer_sides.takes(SelectScale, "data_format")  # Of a base.
