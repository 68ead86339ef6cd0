import csv

import pytest
from matplotlib.image import imread

from keras_selectscale.training import Recipe, RunFolder
from tests.tuning.folders import finished, scale


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["3", "nothing.keras"], "nothing.keras does not exist"),
        (["3", "nothing"], "nothing"),
        (["3", "damaged.keras"], "cannot be read as a Keras model"),
        (["3", "damaged.keras", "--rates", "2"], "Option --rates must be in [0, 1]"),
        (["3", "damaged.keras", "--methods", "x"], "'x'"),
        (["3", "damaged.keras", "--draws", "0"], "Option --draws"),
        (["5"], "No such command '5'"),
    ],
)
def test_bad_input_is_one_line(command, tmp_path, arguments, said):
    (tmp_path / "damaged.keras").write_bytes(b"nothing")
    status, out, err = command("figure", *arguments)
    assert status == 2 and out == "" and err.count("\n") == 1 and said in err


def record(folder, drop, error, **fields):
    recipe = Recipe(network="resnet-8", dataset="digits", epochs=2, drop=drop, **fields)
    run = RunFolder(folder)
    run.open(recipe, {})
    content = {"test_error": error, "train_error": 0.0, "parameters": 1, "epochs": 2}
    run.write_result({**content, "seconds": 1.0, "images_per_second": 2.0})


def test_figure_4_draws_runs_and_a_search_and_names_what_is_damaged(command, tmp_path):
    runs = tmp_path / "runs"
    record(runs / "a", "selectscale", 5.0, top_rate=0.2, retaining_rate=0.0)
    record(runs / "b", "none", 6.0)
    record(runs / "bad", "selectscale", 500.0, top_rate=0.3, retaining_rate=0.0)
    trials = [(scale(0.2, 0.0), [6.0, 8.0]), (scale(0.5, 0.0), [3.0, 5.0])]
    _, search = finished(runs / "found", trials)
    record(search.path / "winner", "selectscale", 1.0, top_rate=0.9, retaining_rate=0.0)
    status, out, err = command("figure", "4", "runs")
    assert status == 0, err
    assert "runs/bad" in err and err.count("\n") == 1
    assert "2 points of test error" in out
    assert "3 points of validation error" in out
    rows = list(csv.DictReader((tmp_path / "figure4.csv").open()))
    points = {(row["error"], row["curve"], row["top_rate"]): float(row["mean"]) for row in rows}
    assert points == {
        ("test", "top_rate", "0.2"): 5.0,
        ("test", "retaining_rate", "0.2"): 5.0,
        ("test", "level", ""): 6.0,
        ("validation", "top_rate", "0.2"): 7.0,
        ("validation", "top_rate", "0.5"): 4.0,
        ("validation", "retaining_rate", "0.2"): 7.0,
    }
    assert imread(tmp_path / "figure4.png").std() > 0
    # A damaged trial is named, and the others are drawn.
    next(search.path.glob("trial_*/trial.json")).write_text("{")
    status, out, err = command("figure", "4", search.path)
    assert status == 0 and "trial.json" in err and "of validation error" in out
    for arguments, said in (
        (["nothing"], "nothing is not a folder"),
        (["runs/b"], "no finished run"),
        (["runs", "--top-rate", 2], "Option --top-rate"),
    ):
        status, out, err = command("figure", "4", *arguments)
        assert status == 2 and said in err.splitlines()[-1]
