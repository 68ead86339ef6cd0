import json

import pytest

from keras_selectscale.experiments import error_table
from keras_selectscale.experiments.error_table import Point
from keras_selectscale.experiments.figure_tables import read_section
from keras_selectscale.files import DamagedFileError


def test_the_table_of_figure_3_has_means_and_deviations_over_draws(tmp_path):
    path = tmp_path / "figure3.csv"
    settings = error_table.Settings("wide", "abc", "cifar10", 10000, "float32", 0)
    points = [Point("none", None, 1.0, 0, 5.0)]
    points += [Point("selectscale", 0.2, 0.5, draw, error) for draw, error in enumerate((6.0, 8.0))]
    points += [Point("selectscale", 0.1, 0.5, 0, 5.5)]
    points += [Point("selectout", 0.06, 0.94, 0, 80.0), Point("selectout", 0.1, 0.9, 0, 90.0)]
    points += [Point("dropout", None, 0.9, 0, 9.0)]
    error_table.write_table(path, points, settings)
    section = read_section(path)
    assert section.headers == (
        *("retaining rate", "standard dropout", "Selectout, top rate 1 − retaining rate"),
        *("SelectScale, top rate 0.2", "SelectScale, top rate 0.1"),
    )
    assert section.rows == [
        ("1 (no drop)", "5.00", "5.00", "5.00", "5.00"),
        ("0.94", "", "80.00", "", ""),
        ("0.9", "9.00", "90.00", "", ""),
        ("0.5", "", "", "7.00 ± 1.41", "5.50"),
    ]
    assert "10,000 test images" in section.note and "2 draws" in section.note


def test_the_table_of_the_maps_has_their_intervals(tmp_path):
    path = tmp_path / "cam.json"
    values = {"mean": -0.25, "low": -0.5, "high": 0.125}
    measures = {"share": values, "entropy": values, "maps without a positive value": 0}
    content = {"dataset": "cifar10", "precision": "float32", "images": 20}
    content |= {"networks": {"a": measures}, "differences": {"b - a": measures}}
    path.write_text(json.dumps(content))
    section = read_section(path)
    assert section.rows[0] == ("a", *["-0.250 [-0.500, 0.125]"] * 2)
    assert section.rows[1] == ("b - a, paired by image", *["-0.250 [-0.500, +0.125]"] * 2)
    assert "20 test images" in section.note


@pytest.mark.parametrize(
    ("name", "text", "error"),
    [
        ("a.csv", "", DamagedFileError),
        ("a.csv", "method,error\nx,1", DamagedFileError),
        ("a.json", "[]", DamagedFileError),
        ("a.json", '{"networks": {"a": 3}, "dataset": "x", "precision": "y", "images": 1}',
         DamagedFileError),
        ("a.txt", "", ValueError),
        ("missing.csv", None, FileNotFoundError),
    ],
)  # fmt: skip
def test_other_files_are_named(tmp_path, name, text, error):
    path = tmp_path / name
    if text is not None:
        path.write_text(text)
    with pytest.raises(error, match=name):
        read_section(path)
