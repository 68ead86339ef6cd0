import csv
import json
import shlex

import pytest

from keras_selectscale import data
from keras_selectscale.cli.train import command as train_command
from keras_selectscale.files import DamagedFileError
from keras_selectscale.tuning import make_report, train_winner
from keras_selectscale.tuning.report import finalists
from tests.tuning.folders import TRIALS, finished, out, scale


def test_the_report_counts_what_pruning_saved(tmp_path):
    path = tmp_path / "search"
    _, folder = finished(path, [(scale(0.1, 0.0), [3.0, 4.0, 5.0])], seeds=3, prune_margin=2.0)
    trial = json.loads((path / "trial_00" / "trial.json").read_text())
    trial["trial_id"] = "01"
    trial["metrics"]["metrics"]["validation_error"]["observations"] = [{"value": [9.0], "step": 0}]
    (path / "trial_01").mkdir()
    (path / "trial_01" / "trial.json").write_text(json.dumps(trial))
    order = {"start_order": ["00", "01"], "ongoing_trials": {}}
    (path / "oracle.json").write_text(json.dumps(order))
    report = make_report(folder)
    assert report["best"]["id"] == "00" and report["pruned"] == {"trials": 1, "epochs": 6}


def test_the_report_of_a_search(tmp_path):
    search, folder = finished(tmp_path, TRIALS)
    report = make_report(folder)
    assert report == json.loads((tmp_path / "report.json").read_text())
    assert report["counts"] == {"COMPLETED": 4, "FAILED": 1, "RUNNING": 1}
    best = report["best"]
    assert (best["id"], best["drop"], best["top_rate"], best["retaining_rate"]) == (
        "03",
        "selectscale",
        0.2,
        0.4,
    )
    assert (best["validation_error"], best["errors"]) == (4.5, [4.0, 5.0])
    assert best["deviation"] == pytest.approx(0.5**0.5)
    assert report["pruned"] == {"trials": 0, "epochs": 0}
    assert report["winner"] is None and "no test image was read" in report["note"]
    assert "tested once" not in report["note"]
    with (tmp_path / "trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [
        "id",
        "status",
        "drop",
        "selectscale/top_rate",
        "selectscale/retaining_rate",
        "selectout/top_rate",
        "selectout/share",
        "top_rate",
        "retaining_rate",
        "score",
        "deviation",
        "seed0",
        "seed1",
        "message",
    ]
    assert [row["score"] for row in rows] == ["7.0", "10.0", "5.5", "4.5", "", ""]
    assert [row["deviation"] for row in rows[:2]] == ["1.41421", "1.41421"]
    assert (rows[2]["selectscale/top_rate"], rows[2]["retaining_rate"]) == ("", "0.7")
    assert rows[4]["status"] == "FAILED" and rows[4]["message"].startswith("FloatingPointError")
    assert (rows[5]["status"], rows[5]["seed0"], rows[5]["seed1"]) == ("RUNNING", "3.0", "")
    assert (tmp_path / "heatmap.png").read_bytes().startswith(b"\x89PNG")


def test_the_command_is_one_that_train_takes(tmp_path):
    _, folder = finished(tmp_path, TRIALS)
    program, name, *words = shlex.split(make_report(folder)["command"])
    assert (program, name) == ("keras-selectscale", "train")
    given = train_command.make_context("train", words).params
    assert (given["drop"], given["top_rate"], given["retaining_rate"]) == ("selectscale", 0.2, 0.4)
    assert (given["network"], given["epochs"], given["batch_size"]) == ("resnet-8", 3, 64)


def test_what_no_option_says_has_no_command(tmp_path):
    values = {**scale(0.2, 0.4), "recipe/momentum": 0.5}
    _, folder = finished(tmp_path, [(values, [1.0, 2.0])], tune={"momentum": (0.5, 0.9)})
    report = make_report(folder)
    assert report["command"] is None and report["best"]["id"] == "00"


def test_a_search_that_has_just_begun(tmp_path):
    _, folder = finished(tmp_path, [])
    report = make_report(folder)
    assert (report["best"], report["counts"], report["command"]) == (None, {}, None)
    assert (tmp_path / "heatmap.png").exists()
    assert train_winner(folder, None) is None


@pytest.mark.parametrize("number", range(len(TRIALS)))
def test_a_trial_without_one_of_its_values_is_named(number, tmp_path):
    _, folder = finished(tmp_path, TRIALS)
    path = tmp_path / f"trial_{number:02}" / "trial.json"
    content = json.loads(path.read_text())
    del content["hyperparameters"]["values"]["drop"]
    path.write_text(json.dumps(content))
    with pytest.raises(
        DamagedFileError, match=rf"{path.parent.name}/trial.json .*'drop' is missing"
    ):
        make_report(folder)


def test_hyperbands_winner_has_been_to_the_end(tmp_path):
    def epochs(values, number):
        return {**values, "tuner/epochs": number}

    search, folder = finished(
        tmp_path,
        [
            (epochs(scale(0.2, 0.4), 1), [1.0, 1.0]),
            (epochs(scale(0.1, 0.4), 3), [3.0, 3.0]),
            (epochs(out(0.1, 0.4), 3), [2.0, 2.0]),
        ],
        tuner="hyperband",
    )
    assert [trial.id for trial in finalists(search, folder.read_trials())] == ["02", "01"]


def test_the_winner_is_trained_on_all_training_images_and_tested_once(tmp_path):
    import dataclasses

    search, folder = finished(tmp_path, TRIALS)
    smaller = dataclasses.replace(
        search, recipe=dataclasses.replace(search.recipe, train_size=40, epochs=1)
    )
    (tmp_path / "search.json").unlink()
    for path in (tmp_path / "oracle.json", tmp_path / "trial_00"):
        assert path.exists()
    (tmp_path / "search.json").write_text(json.dumps({"search": smaller.as_json()}))
    images = data.load("digits", train_size=40)
    result = train_winner(folder, images, tensorboard=False)
    report = make_report(folder)
    assert report["winner"] == result and "tested once" in report["note"]
    config = json.loads((tmp_path / "winner" / "config.json").read_text())["recipe"]
    assert (config["drop"], config["top_rate"], config["train_size"]) == ("selectscale", 0.2, 40)
    assert train_winner(folder, images) == result


@pytest.mark.parametrize(
    ("trials", "without_drop", "said"),
    [
        ([(scale(0.2, 0.4), [4.0]), ({"drop": "none"}, [6.5])], 6.5, "2.50 points lower"),
        ([(scale(0.2, 0.4), [4.0]), ({"drop": "none"}, [3.0])], 3.0, "none of the drops"),
        ([(scale(0.2, 0.4), [4.0])], None, "No trial without a drop"),
    ],
)
def test_the_report_says_whether_a_drop_helps(trials, without_drop, said, tmp_path):
    _, folder = finished(tmp_path, trials, methods=("selectscale", "none"), seeds=1)
    report = make_report(folder)
    assert report["without_drop"] == without_drop and said in report["note"]
