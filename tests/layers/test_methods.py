import pytest

from keras_selectscale import Selectout, SelectScale, SpatialDropout, SpatialScale, StandardDropout
from keras_selectscale.layers.methods import METHODS, get_method, make_drop


def test_the_papers_methods_come_first():
    assert list(METHODS)[:6] == [
        "none",
        "dropout",
        "spatial-dropout",
        "spatial-scale",
        "selectout",
        "selectscale",
    ]
    assert list(METHODS)[6:] == sorted(list(METHODS)[6:])


@pytest.mark.parametrize(
    "name, layer, top_rate, retaining_rate",
    [
        ("dropout", StandardDropout, None, 0.9),
        ("spatial-dropout", SpatialDropout, None, 0.9),
        ("spatial-scale", SpatialScale, None, 0.4),
        ("selectout", Selectout, 0.2, 0.9),
        ("selectscale", SelectScale, 0.2, 0.4),
    ],
)
def test_a_method_makes_its_layer_at_the_papers_rates(name, layer, top_rate, retaining_rate):
    made = make_drop(name)
    assert type(made) is layer
    assert made.retaining_rate == retaining_rate
    assert getattr(made, "top_rate", None) == top_rate


def test_what_is_given_wins():
    made = make_drop(
        "selectscale", top_rate=0.5, retaining_rate=0.0, score="global_average", seed=3, name="x"
    )
    assert (made.top_rate, made.retaining_rate, made.score) == (0.5, 0.0, "global_average")
    assert (made.seed, made.name) == (3, "x")


def test_none_is_no_layer():
    assert make_drop("none") is None


@pytest.mark.parametrize(
    "name, arguments, match",
    [
        ("none", {"retaining_rate": 0.9}, "`retaining_rate`.*'dropout'.*'none'"),
        ("dropout", {"top_rate": 0.2}, r"`top_rate`.*\['selectout', 'selectscale'\].*'dropout'"),
        ("spatial-scale", {"score": "max"}, "`score`.*'spatial-scale'"),
    ],
)
def test_an_argument_that_does_not_go_with_the_method_is_refused(name, arguments, match):
    with pytest.raises(ValueError, match=match):
        make_drop(name, **arguments)


def test_an_unknown_method_is_refused():
    with pytest.raises(ValueError, match="`drop`.*'selectscale'.*'dropblock'"):
        get_method("dropblock")
