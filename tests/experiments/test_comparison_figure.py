import copy

import numpy as np
import pytest
from matplotlib.image import imread

from keras_selectscale.experiments import draw_comparison


def summary(errors, deviation=0.5):
    return {
        "recipe": {"network": "resnet-8", "dataset": "digits", "epochs": 3},
        "seeds": list(range(len(errors))),
        "train_images": 1898,
        "test_images": 899,
        "methods": {
            name: {
                "title": name,
                "top_rate": top,
                "retaining_rate": retaining,
                "test_errors": errors,
                "mean": float(np.mean(errors)),
                "standard_deviation": deviation,
            }
            for name, top, retaining in [("none", None, None), ("selectscale", 0.2, 0.4)]
        },
    }


def test_it_draws_a_picture_that_depends_on_the_errors(tmp_path):
    draw_comparison(summary([2.0, 3.0, 3.0]), tmp_path / "a.png")
    draw_comparison(summary([2.0, 5.0, 3.0]), tmp_path / "b.png")
    first, second = imread(tmp_path / "a.png"), imread(tmp_path / "b.png")
    assert first.shape == second.shape and min(first.shape[:2]) >= 600
    assert not np.array_equal(first, second)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.png"]


def test_a_line_marks_the_mean_without_a_drop(tmp_path):
    with_line = summary([2.0, 3.0])
    without = summary([2.0, 3.0])
    # The same points, of which none is without a drop.
    without["methods"]["none"] |= {"retaining_rate": 0.5, "title": "none"}
    pixels = []
    for number, each in enumerate((with_line, without)):
        draw_comparison(each, tmp_path / f"{number}.png")
        picture = imread(tmp_path / f"{number}.png")[..., :3]
        red = (picture[..., 0] > 0.6) & (picture[..., 1] < 0.4)
        pixels.append(red.any(axis=1).sum())  # Rows with a mark in red.
    assert pixels[0] > 2 * pixels[1]


def test_one_seed_is_drawn_too(tmp_path):
    draw_comparison(summary([2.0], deviation=None), tmp_path / "one.png")
    assert imread(tmp_path / "one.png").std() > 0


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (["recipe"], {}, "`recipe.network` is missing"),
        (["recipe", "epochs"], "x", "`recipe.epochs`: expected int"),
        (["seeds"], [0, None], r"`seeds\[1\]`: expected int, received None"),
        (["methods"], {}, "one or more methods"),
        (["methods", "none"], 5, "expected object"),
        (["methods", "none", "mean"], "x", "mean`: expected float"),
        (["methods", "none", "mean"], float("nan"), "errors from 0 to 100 for 'none'"),
        (["methods", "none", "standard_deviation"], -1.0, "errors from 0 to 100 for 'none'"),
        (["methods", "none", "test_errors"], [1e308], "errors from 0 to 100 for 'none'"),
    ],
)
def test_every_field_of_the_summary_is_checked(path, value, words, tmp_path):
    content = copy.deepcopy(summary([2.0]))
    place = content
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(ValueError, match=f"Argument `summary` must.*{words}"):
        draw_comparison(content, tmp_path / "a.png")


def test_dollar_signs_in_names_are_no_formula(tmp_path):
    content = summary([2.0])
    content["recipe"]["dataset"] = r"folder:$\frac$"
    content["methods"]["none"]["title"] = "$_$"
    draw_comparison(content, tmp_path / "a.png")
    assert imread(tmp_path / "a.png").std() > 0
