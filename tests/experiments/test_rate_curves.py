import csv
import dataclasses
import io

import pytest
from matplotlib.image import imread

from keras_selectscale.experiments import rate_curves
from keras_selectscale.experiments.rate_curves import Level
from keras_selectscale.training import Recipe

NONE = Recipe(network="resnet-20", dataset="digits", epochs=3)


def level(drop="selectscale", errors=(5.0, 6.0), **fields):
    return Level(dataclasses.replace(NONE, drop=drop, **fields), errors)


def scale(top_rate, retaining_rate, *errors, **fields):
    return level("selectscale", errors, top_rate=top_rate, retaining_rate=retaining_rate, **fields)


def curves(setting):
    return {
        name: {rate: each.error.mean for rate, each in points.items()}
        for name, points in setting.curves.items()
    }


def test_the_curves_have_the_points_at_the_held_rates_and_the_others_are_levels():
    levels = [
        Level(NONE, (8.0, 10.0)),
        scale(0.1, 0.0, 7.0),
        scale(0.2, 0.0, 6.0, 7.0),
        scale(0.2, 0.4, 4.5),
        scale(0.5, 0.5, 1.0),  # On no curve.
        scale(0.2, 0.2, 9.0, score="random"),
        level("spatial-dropout", (5.0,), retaining_rate=0.9),
        level("spatial-dropout", (4.0,), retaining_rate=0.8),
    ]
    (setting,) = rate_curves.settings(levels)
    assert curves(setting) == {
        "top_rate": {0.1: 7.0, 0.2: 6.5},
        "retaining_rate": {0.0: 6.5, 0.4: 4.5},
    }
    assert {label: each.error.mean for label, each in setting.others} == {
        "without data drop": 9.0,
        "SelectScale, score random": 9.0,
        "SpatialDropout, best of 2": 4.0,
    }
    rows = list(csv.DictReader(io.StringIO(rate_curves.as_csv([setting]))))
    assert [row["curve"] for row in rows] == ["top_rate"] * 2 + ["retaining_rate"] * 2 + [
        "level"
    ] * 3
    assert float(rows[1]["mean"]) == 6.5 and rows[1]["n"] == "2" and rows[0]["low"] == ""
    (other,) = rate_curves.settings(levels, top_rate=0.5, retaining_rate=1.0)
    assert curves(other) == {"top_rate": {}, "retaining_rate": {0.5: 1.0}}


def test_what_differs_in_more_than_the_drop_is_another_setting():
    longer = dataclasses.replace(NONE, epochs=9)
    levels = [
        Level(NONE, (8.0,)),
        scale(0.2, 0.4, 4.5),
        scale(0.2, 0.4, 4.0, curriculum="linear"),
        scale(0.2, 0.2, 4.0, curriculum="linear"),
        Level(longer, (7.0,)),
        Level(dataclasses.replace(scale(0.2, 0.0).recipe, epochs=9), (3.0,)),
        dataclasses.replace(scale(0.2, 0.3, 2.0), images="validation"),
        level("spatial-dropout", (5.0,), retaining_rate=0.9, epochs=7),  # No curve.
    ]
    found = rate_curves.settings(levels)
    # A retaining rate of 0 at top rate 0.2 is a point of both curves.
    assert [curves(each)["retaining_rate"] for each in found] == [
        {0.2: 4.0, 0.4: 4.0},
        {0.0: 3.0},
        {0.4: 4.5},
        {0.3: 2.0},
    ]
    base = {each.title: [other.errors for _, other in each.others] for each in found}
    assert base["resnet-20 on digits, 3 epochs, float32, curriculum linear"] == [(8.0,)]
    assert base["resnet-20 on digits, 9 epochs, float32"] == [(7.0,)]
    assert [each.others for each in found if each.images == "validation"] == [()]


def test_bad_rates_are_named():
    with pytest.raises(ValueError, match="`top_rate`"):
        rate_curves.settings([], top_rate=0)
    with pytest.raises(ValueError, match="`retaining_rate`"):
        rate_curves.settings([], retaining_rate=2)


def test_one_panel_may_be_empty_and_many_settings_are_cut(tmp_path):
    from keras_selectscale.experiments import rate_figure

    levels = [
        Level(dataclasses.replace(scale(0.2, 0.4).recipe, epochs=epochs), (3.0,))
        for epochs in range(1, 15)
    ]
    found = rate_curves.settings(levels)
    path = tmp_path / "figure4.png"
    rate_figure.draw(found[:1], path, top_rate=0.2, retaining_rate=0.0)
    one = imread(path)
    assert one.std() > 0 and len(found) == 14
    rate_figure.draw(found, path, top_rate=0.2, retaining_rate=0.0)
    assert imread(path).shape[0] == rate_figure.MOST_SETTINGS * one.shape[0]
