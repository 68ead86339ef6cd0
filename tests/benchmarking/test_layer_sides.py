import pytest

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
