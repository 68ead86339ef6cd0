import itertools

import keras_tuner
import pytest

from keras_selectscale.layers.methods import METHODS, make_drop
from keras_selectscale.tuning import RateSpace
from keras_selectscale.tuning.space import with_one_share


def points(space):
    """Every combination of hyperparameter values, written down without KerasTuner."""
    for method in space.methods:
        choices = space.choices(method)
        for values in itertools.product(*choices.values()):
            names = (f"{method}/{name}" for name in choices)
            yield {"drop": method, **dict(zip(names, values, strict=True))}


def different(points, space):
    """Those that make another drop than all before."""
    return list({str(space.rates(point)): point for point in points}.values())


def test_the_defaults_are_the_papers_tenths():
    space = RateSpace()
    tenths = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
    assert space.methods == ("selectscale", "selectout")
    assert space.choices("selectscale") == {
        "top_rate": tenths,
        "retaining_rate": (0.0, *tenths[:-1]),
    }
    assert space.choices("selectout") == {"top_rate": tenths, "share": (0.2, 0.4, 0.6, 0.8, 1.0)}
    assert space.size() == 150


@pytest.mark.parametrize(
    "space",
    [
        RateSpace(tuple(METHODS)),
        RateSpace(tuple(METHODS), (0.05, 0.3, 1), (0, 0.01, 0.7, 1)),
        RateSpace("selectout", (0.1, 0.2, 0.5), (0.8, 0.9)),
        RateSpace(("selectout",), (1,), (0.0, 0.001)),
    ],
)
def test_every_point_makes_a_layer(space):
    found = list(points(space))
    made = [make_drop(**space.rates(point)) for point in found]
    assert len(different(found, space)) == space.size()
    for point, layer in zip(found, made, strict=True):
        if point["drop"] == "selectout":
            assert 0 < layer.retaining_rate <= 1
            assert 1 - layer.retaining_rate <= layer.top_rate + 1e-9


@pytest.mark.parametrize(
    "top_rate, share, rates, expected",
    [
        (0.1, 0.2, None, 0.98),  # 1 - u t, as the paper's "very small drop rate (e.g. 0.02)".
        (0.2, 1.0, None, 0.8),
        (1.0, 1.0, None, 0.5),
        (0.5, 0.4, (0.6, 0.9), 0.78),  # 0.9 - 0.4 (0.9 - max(0.6, 0.5))
        (0.3, 0.6, (0.6, 0.9), 0.78),  # 0.9 - 0.6 (0.9 - max(0.6, 0.7))
        (0.1, 1.0, (0.9,), 0.9),
    ],
)
def test_the_rate_of_selectout(top_rate, share, rates, expected):
    values = {"drop": "selectout", "selectout/top_rate": top_rate, "selectout/share": share}
    found = RateSpace("selectout", None, rates).rates(values)
    assert found["top_rate"] == top_rate
    assert found["retaining_rate"] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    "top_rates, retaining_rates, size",
    [
        ((0.2, 0.5), (0.5, 0.8), 1 + 5),
        ((0.7,), (0.1, 0.3), 1),
        ((0.3, 0.5), (0.5, 0.8), 5 + 5),
        ((0.2, 0.5), (0.8,), 1 + 1),
        (None, (0.5, 0.9), 1 + 9 * 5),
    ],
)
def test_shares_that_make_the_same_drop_are_one_point(top_rates, retaining_rates, size):
    space = RateSpace("selectout", top_rates, retaining_rates)
    hp = keras_tuner.HyperParameters()
    space.draw(hp)
    found = {str(with_one_share(point, hp.space)) for point in points(space)}
    assert len(found) == len(different(points(space), space)) == space.size() == size


def test_a_value_that_lost_digits_on_its_way_is_the_nearest():
    values = {
        "drop": "selectscale",
        "selectscale/top_rate": 0.10000000149011612,
        "selectscale/retaining_rate": 0.699999988079071,
    }
    assert RateSpace().rates(values) == {
        "drop": "selectscale",
        "top_rate": 0.1,
        "retaining_rate": 0.7,
    }


def test_only_the_drawn_methods_hyperparameters_are_active():
    hp = keras_tuner.HyperParameters()
    RateSpace(("selectscale", "selectout", "none")).draw(hp)
    assert [each.name for each in hp.space] == [
        "drop",
        "selectscale/top_rate",
        "selectscale/retaining_rate",
        "selectout/top_rate",
        "selectout/share",
    ]
    assert set(hp.values) == {"drop", "selectscale/top_rate", "selectscale/retaining_rate"}
    hp.values = {"drop": "none"}
    assert RateSpace(("selectscale", "selectout", "none")).draw(hp)["top_rate"] is None
    assert [each.name for each in hp.space if hp.is_active(each)] == ["drop"]


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"methods": ()}, ["methods"]),
        ({"methods": ("dropblock",)}, ["methods", "dropblock", "selectscale"]),
        ({"methods": ("none", "none")}, ["methods", "different"]),
        ({"top_rates": ()}, ["top_rates", "(0, 1]"]),
        ({"top_rates": (0.0, 0.5)}, ["top_rates", "0.0"]),
        ({"top_rates": (0.5, 0.2, 0.5)}, ["`top_rates`", "once", "(0.5, 0.2, 0.5)"]),
        ({"retaining_rates": (1, 1.0)}, ["`retaining_rates`", "once"]),
        ({"retaining_rates": (0.5, 1.5)}, ["retaining_rates", "1.5"]),
        ({"retaining_rates": (float("nan"),)}, ["retaining_rates", "nan"]),
        (
            {"methods": ("selectout",), "top_rates": (0.1, 0.2), "retaining_rates": (0.5,)},
            ["top_rates", "retaining_rates", "feasible", "selectout"],
        ),
        (
            {"methods": ("selectscale", "dropout"), "retaining_rates": (0.0,)},
            ["retaining_rates", "feasible", "dropout"],
        ),
        ({"methods": ("selectout",), "retaining_rates": (0.0,)}, ["feasible", "above 0"]),
    ],
)
def test_what_cannot_be_drawn_is_refused(arguments, words):
    with pytest.raises(ValueError) as error:
        RateSpace(**arguments)
    assert all(word in str(error.value) for word in words), error.value


@pytest.mark.parametrize("values", ["0.1", 0.1, (True,), ("0.1",)])
def test_rates_that_are_no_numbers(values):
    with pytest.raises(TypeError, match="top_rates"):
        RateSpace(top_rates=values)
