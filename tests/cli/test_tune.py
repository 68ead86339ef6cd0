import csv
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

TINY = ("--network", "resnet-8", "--dataset", "digits", "--train-size", 40, "--epochs", 1)
ROOT = pathlib.Path(__file__).resolve().parents[2]


def rows(folder):
    with (folder / "trials.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_a_search_from_end_to_end(command, tmp_path, monkeypatch):
    fastest = "keras_selectscale.training.speed.fastest_precision"
    monkeypatch.setattr(fastest, lambda: "mixed_bfloat16")
    arguments = ("tune", *TINY, "--methods", "selectscale,none", "--seeds", 2, "--dir", "search")
    status, out, err = command(*arguments, "--trials", 2)
    assert status == 0, err
    folder = tmp_path / "search"
    first = rows(folder)
    assert [row["status"] for row in first] == ["COMPLETED"] * 2
    assert all(row["seed0"] and row["seed1"] and row["deviation"] for row in first)
    report = json.loads((folder / "report.json").read_text())
    error = report["winner"]["test_error"]
    assert f"Winner on the test images: error {error:.2f}%" in out
    assert "no test image was read during the search" in out and "tested once" in out
    assert report["command"] in out and "keras-selectscale train --network resnet-8" in out
    assert err.count("/2  trial ") == 2
    assert (folder / "heatmap.png").stat().st_size > 10_000
    assert list(folder.glob("tensorboard/t0000/seed1/events.out.*"))
    winner = json.loads((folder / "winner" / "config.json").read_text())
    assert winner["recipe"]["precision"] == "mixed_bfloat16"
    assert winner["environment"]["jit"] is report["search"]["jit"]
    assert "--precision mixed_bfloat16 --jit o" in out and "1 epoch, mixed_bfloat16," in out
    monkeypatch.setattr(fastest, lambda: "float32")  # Another machine: it goes on as it began.

    status, again, err = command(*arguments, "--trials", 2)
    assert (status, again) == (0, out) and "trials done: 2/2" in err and " trial " not in err

    status, reported, err = command("tune", "report", "search")
    assert (status, reported, err) == (0, out, "")

    status, _, err = command(*arguments, "--trials", 3)
    assert status == 0 and err.count("/3  trial ") == 1
    assert rows(folder)[:2] == first and len(rows(folder)) == 3

    status, _, err = command(*arguments, "--trials", 3, "--epochs", 2)
    assert status == 2 and "epochs: 1 there, 2 here" in err and err.count("\n") == 1


@pytest.mark.parametrize(
    "given, words",
    [
        ({"IP": "127.0.0.1", "TUNER_ID": "worker0"}, ["KERASTUNER_ORACLE_PORT"]),
        ({"IP": "127.0.0.1", "PORT": "8000"}, ["KERASTUNER_TUNER_ID"]),
        ({"IP": "127.0.0.1", "PORT": "http", "TUNER_ID": "chief"}, ["PORT", "'http'"]),
    ],
)
def test_a_part_of_the_environment_of_a_chief_is_one_line(command, given, words, monkeypatch):
    names = {"IP": "ORACLE_IP", "PORT": "ORACLE_PORT", "TUNER_ID": "TUNER_ID"}
    for name, value in given.items():
        monkeypatch.setenv(f"KERASTUNER_{names[name]}", value)
    status, out, err = command("tune", *TINY, "--dir", "search")
    assert status == 2 and out == "" and err.count("\n") == 1
    assert all(word in err for word in words)


@pytest.mark.slow
def test_a_search_in_which_all_fails(command, tmp_path):
    status, out, err = command(
        "tune", *TINY, "--learning-rate", "1e30,1e31", "--batch-size", 8, "--trials", 2,
        "--methods", "none,selectscale", "--dir", "far",
    )  # fmt: skip
    assert status == 1 and out == ""
    assert "none of 2 trials was completed" in err and "FloatingPointError" in err
    status, out, err = command("tune", "report", "far")
    assert status == 0 and "2 failed" in out
    assert [row["status"] for row in rows(tmp_path / "far")] == ["FAILED"] * 2


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--network", "resnet-9"], ["depth", "9"]),
        (["--tuner", "sobol"], ["--tuner", "bayesian", "sobol"]),
        (["--methods", "dropblock"], ["--methods", "dropblock"]),
        (["--top-rates", "0.1,much"], ["--top-rates", "much"]),
        (["--top-rates", "0,0.5"], ["--top-rates", "(0, 1]"]),
        (
            ["--methods", "selectout", "--top-rates", "0.1", "--retaining-rates", "0.2"],
            ["top_rates", "retaining_rates", "feasible"],
        ),
        (["--trials", "0"], ["--trials", "0"]),
        (["--seeds", "0"], ["--seeds", "0"]),
        (["--figure4"], ["--figure4", "grid"]),
        (["--learning-rate", "0.1,-1"], ["--learning-rate", "-1"]),
        (["--batch-size", ","], ["--batch-size"]),
        (["--validation-share", "1"], ["--validation-share", "1.0"]),
        (["--train-size", "10"], ["two training images of each class"]),
        (["--workers", "-1"], ["--workers", "-1"]),
        (["--wait", "0"], ["--wait", "0"]),
        (["--dataset", "cifar10", "--data-dir", "nowhere"], ["cifar10", "nowhere"]),
    ],
)
def test_bad_input_is_one_line_and_makes_nothing(command, tmp_path, arguments, words):
    status, out, err = command("tune", *TINY, "--dir", "search", *arguments)
    assert status == 2 and out == ""
    assert err.count("\n") == 1 and "Traceback" not in err
    assert all(word in err for word in words), err
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_search(command):
    assert command("tune")[2].count("--network") == 1
    status, _, err = command("tune", "report", "nowhere")
    assert status == 2 and "nowhere is not the folder of a search" in err


@pytest.mark.slow
def test_workers_of_which_one_is_killed(tmp_path):
    """The whole command, as processes of its own."""
    words = [
        sys.executable, "-c", "from keras_selectscale.cli import main; main()", "tune", *TINY,
        "--methods", "selectscale,none", "--trials", 3, "--workers", 2, "--dir", "search",
    ]  # fmt: skip
    folder = tmp_path / "search"
    with (tmp_path / "err").open("wb") as err:
        process = subprocess.Popen(
            [str(word) for word in words],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=err,
        )
    killed, end = False, time.monotonic() + 300
    while process.poll() is None and time.monotonic() < end:
        time.sleep(0.2)
        told = (tmp_path / "err").read_text()
        if not killed and list(folder.glob("trial_*")):
            pid = told.partition("worker0 is process ")[2].partition(",")[0]
            os.kill(int(pid), signal.SIGKILL)
            killed = True
    process.kill()
    out = process.stdout.read().decode()
    assert process.wait() == 0, (tmp_path / "err").read_text()
    assert killed and "worker0 ended by signal SIGKILL" in (tmp_path / "err").read_text()
    assert "trials: 3 completed" in out and "Winner on the test images" in out
    assert [row["status"] for row in rows(folder)] == ["COMPLETED"] * 3
