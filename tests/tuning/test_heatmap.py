import pytest

from keras_selectscale.layers.methods import METHODS
from keras_selectscale.tuning import heatmap
from tests.tuning.folders import TRIALS, finished, scale


def drawn(monkeypatch, tmp_path, trials, **options):
    """Returns the figure instead of the file."""
    from matplotlib.figure import Figure

    kept = []
    save = Figure.savefig
    monkeypatch.setattr(
        Figure, "savefig", lambda self, *a, **k: (kept.append(self), save(self, *a, **k))
    )
    search, folder = finished(tmp_path, trials, **options)
    heatmap.draw_heatmap(search, folder.read_trials(), tmp_path / "heatmap.png", best="03")
    assert [path.name for path in tmp_path.glob("*.png")] == ["heatmap.png"]
    return {axes.get_title(): axes for axes in kept[0].axes}


def test_every_trial_stands_at_its_rates_with_its_error(monkeypatch, tmp_path):
    panels = drawn(monkeypatch, tmp_path, TRIALS)
    (squares,) = panels["SelectScale"].collections
    found = {
        tuple(place): error
        for place, error in zip(squares.get_offsets().tolist(), squares.get_array(), strict=True)
    }
    assert found == {(0.2, 0.0): 7.0, (0.5, 0.0): 10.0, (0.2, 0.4): 4.5}
    assert {text.get_text() for text in panels["SelectScale"].texts} == {"7", "10", "4.5"}
    lines = [line.get_xydata().tolist() for line in panels["SelectScale"].lines]
    assert lines == [[[1.0, 0.9]], [[0.2, 0.4]]]  # The one that failed, and the best one's frame.
    assert {(0.0, 1.0), (1.0, 0.0)} <= infeasible(panels["Selectout"])
    squares = panels["Selectout"].collections[-1]
    assert squares.get_offsets().tolist() == [[0.5, 0.7]]


def test_the_two_curves_of_figure_4(monkeypatch, tmp_path):
    panels = drawn(
        monkeypatch, tmp_path, [*TRIALS, ({"drop": "none"}, [8.0, 10.0])],
        methods=("selectscale", "selectout", "none"),
        tuner="grid",
    )  # fmt: skip
    tops = panels["SelectScale at retaining rate 0 (Figure 4a)"]
    rates = panels["SelectScale at top rate 0.2 (Figure 4b)"]
    assert tops.lines[0].get_xydata().tolist() == [[0.2, 7.0], [0.5, 10.0]]
    assert rates.lines[0].get_xydata().tolist() == [[0.0, 7.0], [0.4, 4.5]]
    levels = {
        line.get_label(): line.get_ydata()[0] for line in tops.lines if len(line.get_xdata()) == 2
    }
    assert levels["without data drop"] == 9.0 and levels["Selectout, best"] == 5.5


def infeasible(axes):
    """Returns the corners of the area that is hatched as not feasible."""
    areas = [each for each in axes.collections if each.get_hatch()]
    return {tuple(corner) for area in areas for corner in area.get_paths()[0].vertices}


def test_the_area_that_is_not_feasible_comes_from_the_registry(monkeypatch, tmp_path):
    selectout, scale_space = METHODS["selectout"].space, type(METHODS["selectscale"].space)
    monkeypatch.setattr(type(selectout), "lowest_retaining_rate", lambda self, top_rate: 0.0)
    monkeypatch.setattr(scale_space, "lowest_retaining_rate", lambda self, top_rate: 0.5 * top_rate)
    panels = drawn(monkeypatch, tmp_path, TRIALS)
    assert infeasible(panels["Selectout"]) == set()
    assert {(0.0, 0.0), (1.0, 0.5)} <= infeasible(panels["SelectScale"])


def test_no_curve_of_two_points_that_met_by_chance(monkeypatch, tmp_path):
    panels = drawn(monkeypatch, tmp_path, TRIALS)
    assert not [title for title in panels if "Figure 4" in title]


def test_no_curve_of_one_point(monkeypatch, tmp_path):
    panels = drawn(
        monkeypatch, tmp_path, [(scale(0.2, 0.0), [1.0, 2.0]), (scale(0.7, 0.3), [1.0, 2.0])]
    )
    assert not [title for title in panels if "Figure 4" in title]


@pytest.mark.parametrize("methods", [("none",), ("dropout", "spatial-scale"), ("selectout",)])
def test_any_methods(monkeypatch, tmp_path, methods):
    values = {
        "none": {"drop": "none"},
        "dropout": {"drop": "dropout", "dropout/retaining_rate": 0.7},
        "spatial-scale": {"drop": "spatial-scale", "spatial-scale/retaining_rate": 0.1},
        "selectout": {"drop": "selectout", "selectout/top_rate": 1.0, "selectout/share": 0.2},
    }
    drawn(
        monkeypatch, tmp_path, [(values[method], [1.0, 2.0]) for method in methods], methods=methods
    )
