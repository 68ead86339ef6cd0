import pathlib

from matplotlib.image import imread

RESULTS = pathlib.Path(__file__).parents[2] / "results"


def test_curves_of_runs_are_drawn(command, tmp_path):
    from keras_selectscale.training import Recipe, RunFolder
    from keras_selectscale.training.run_folder import HistoryRow

    run = RunFolder(tmp_path / "runs" / "half")
    recipe = {"drop": "selectscale", "top_rate": 0.2, "retaining_rate": 0.2, "epochs": 4}
    run.open(Recipe(network="resnet-8", dataset="digits", curriculum="linear", **recipe), {})
    status, _, err = command("history", "half")
    assert status == 2 and "no finished epoch" in err and err.count("\n") == 1
    run.write_history([HistoryRow(1, 2.0, 0.3, 0.1), HistoryRow(2, 1.0, 0.6, 0.1)])
    recorded = sorted(RESULTS.glob("table1-wrn-20-4-none*/seed0"))
    status, out, err = command("history", "half", *recorded, "--out", "curves.png")
    assert (status, err) == (0, "") and f"{1 + len(recorded)} runs" in out
    assert imread(tmp_path / "curves.png").std() > 0
    status, _, err = command("history", "nothing")
    assert status == 2 and err.count("\n") == 1
