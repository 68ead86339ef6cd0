import numpy as np
import pytest

from keras_selectscale.experiments import map_figure, map_measures


def test_measures_equal_a_loop():
    maps = np.random.default_rng(0).normal(size=(6, 3, 4)).astype("float32")
    maps[5] = -1
    found = map_measures.measures(maps)
    for image in range(5):
        positive = np.maximum(maps[image].astype("float64"), 0)
        assert found.share[image] == np.mean(maps[image] >= maps[image].max() / 2)
        p = positive[positive > 0] / positive.sum()
        assert found.entropy[image] == pytest.approx(-(p * np.log(p)).sum())
    assert np.isnan(found.share[5]) and np.isnan(found.entropy[5])
    even = map_measures.measures(np.ones((1, 3, 4)))
    assert even.share[0] == 1 and even.entropy[0] == pytest.approx(np.log(12))


def test_differences_are_paired():
    first = map_measures.MapMeasures(np.array([0.1, 0.5, np.nan]), np.array([1.0, 2.0, np.nan]))
    other = map_measures.MapMeasures(np.array([0.2, 0.6, 0.5]), np.array([1.5, 2.5, 1.0]))
    found = map_measures.summary(["a", "b"], [first, other])
    assert found["images"] == 3
    assert found["networks"]["a"]["maps without a positive value"] == 1
    share = found["differences"]["b - a"]["share"]
    assert share["mean"] == pytest.approx(0.1) and share["high"] - share["low"] < 1e-9


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (0, "cat"),
        (np.int64(1), "golden retrieve…"),
        (2, r"\$5 and \$6"),
        (3, "t?xt"),
        (4, "4"),
        (-1, "-1"),
    ],
)
def test_a_class_is_named_or_numbered(number, expected):
    names = ("cat", "golden retrievers", "$5 and\n$6", "t\udce4xt")
    assert map_figure.class_title(number, names) == expected
    assert map_figure.class_title(number, ()) == str(number)
