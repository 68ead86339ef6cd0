import csv
import json

import keras
import pytest
from matplotlib.image import imread

from keras_selectscale.training.run_diagnostics import run_maps

TINY = ("train", "--network", "tiny", "--dataset", "digits", "--train-size", 40)
pytestmark = pytest.mark.usefixtures("tiny_network")


def test_it_trains_reports_and_is_evaluated(command, tmp_path):
    status, out, err = command(
        *TINY, "--drop", "selectscale", "--top-rate", 0.3, "--retaining-rate", 0.1,
        "--epochs", 2, "--seed", 5, "--run", "first",
    )  # fmt: skip
    assert status == 0, err
    folder = tmp_path / "runs" / "first"
    config = json.loads((folder / "config.json").read_text())
    assert config["recipe"]["drop"] == "selectscale"
    assert config["recipe"]["top_rate"] == 0.3 and config["recipe"]["retaining_rate"] == 0.1
    assert config["recipe"]["seed"] == 5
    assert "keras" in config["environment"]["packages"]
    error = json.loads((folder / "result.json").read_text())["test_error"]
    assert f"test error {error:.2f}%" in out and "done, 2 epochs" in out
    # Once, and not by the warning of each process that saves.
    assert (out + err).count("import keras_selectscale before you load it") == 1
    assert "UserWarning" not in err
    assert err.count("epoch 1/2") == 1 and err.count("epoch 2/2") == 1

    status, out, err = command("evaluate", "first")
    assert status == 0 and f"test error {error:.2f}%" in out and "2 of 2 epochs" in out
    assert command("evaluate", folder)[1] == out.replace("runs/first", str(folder))


def test_the_same_command_again_reports_at_once_and_another_recipe_is_refused(command, tmp_path):
    arguments = (*TINY, "--epochs", 1, "--run", "again[a]")
    status, _, err = command(*arguments)
    assert status == 0 and "runs/again[a]: " in err  # And no markup.
    checkpoint = tmp_path / "runs" / "again[a]" / "checkpoint.keras"
    before = checkpoint.stat().st_mtime_ns
    status, out, _ = command(*arguments)
    assert status == 0 and "already done" in out
    assert checkpoint.stat().st_mtime_ns == before

    before = checkpoint.with_name("result.json").read_bytes()
    status, _, err = command(*TINY, "--epochs", 2, "--run", "again[a]")
    assert status == 2 and "epochs: 1 there, 2 here" in err and err.count("\n") == 1
    assert checkpoint.with_name("result.json").read_bytes() == before


def test_a_run_keeps_the_precision_and_the_compilation_with_which_it_began(
    command, tmp_path, monkeypatch
):
    fastest = "keras_selectscale.training.speed.fastest_precision"
    monkeypatch.setattr(fastest, lambda: "mixed_bfloat16")
    arguments = (*TINY, "--epochs", 1, "--run", "mine")
    status, out, err = command(*arguments)
    assert status == 0, err
    config = json.loads((tmp_path / "runs" / "mine" / "config.json").read_text())
    jit = config["environment"]["jit"]
    setting = f"mixed_bfloat16, jit {'on' if jit else 'off'}"
    assert config["recipe"]["precision"] == "mixed_bfloat16"
    assert f"({setting})" in out and f"mine: {setting}" in err

    monkeypatch.setattr(fastest, lambda: "float32")  # Another machine.
    (tmp_path / "runs" / "mine" / "result.json").unlink()
    status, again, err = command(*arguments)
    assert status == 0 and f"({setting})" in again, err
    assert command(*arguments, "--precision", "mixed_bfloat16")[0] == 0
    status, _, err = command(*arguments, "--precision", "float32")
    assert status == 2 and "'mixed_bfloat16' there, 'float32' here" in err
    other = "off" if jit else "on"
    status, _, err = command(*arguments, "--jit", other)
    assert status == 2 and f"Received: jit={other}" in err and err.count("\n") == 1


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="replicas of TensorFlow")
def test_replicas_are_not_compiled(command, tmp_path):
    arguments = (*TINY, "--epochs", 1, "--run", "mine", "--distribute", "mirrored")
    status, _, err = command(*arguments, "--jit", "on")
    assert status == 2 and "--jit must be off with replicas" in err and err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--network", "vgg"], ["--network", "resnet-D", "vgg"]),
        (["--network", "resnet-9"], ["depth", "6n + 2", "9"]),
        (["--network", "wrn-20-0"], ["width", "0"]),
        (["--drop", "dropblock"], ["--drop", "selectscale", "dropblock"]),
        (["--drop", "selectscale", "--top-rate", "1.5"], ["--top-rate", "1.5"]),
        (["--drop", "selectscale", "--top-rate", "nan"], ["--top-rate", "nan"]),
        (["--drop", "dropout", "--retaining-rate", "0"], ["--retaining-rate", "0.0"]),
        (["--drop", "dropout", "--top-rate", "0.2"], ["--top-rate", "'dropout'"]),
        (["--retaining-rate", "0.2"], ["--retaining-rate", "'none'"]),
        (
            ["--drop", "selectout", "--top-rate", "0.1", "--retaining-rate", "0.8"],
            ["top_rate=0.1", "retaining_rate=0.8"],
        ),
        (["--drop", "selectscale", "--score", "median"], ["--score", "median"]),
        (["--drop", "selectscale", "--curriculum", "slow"], ["--curriculum", "slow"]),
        (["--schedule", "linear"], ["--schedule", "cosine"]),
        (["--epochs", "0"], ["--epochs", "0"]),
        (["--batch-size", "-1"], ["--batch-size", "-1"]),
        (["--learning-rate", "nan"], ["--learning-rate", "nan"]),
        (["--weight-decay", "-1"], ["--weight-decay"]),
        (["--seed", "-1"], ["--seed", "-1"]),
        (["--seed", "4294967296"], ["--seed", "4294967296"]),
        (["--learning-rate", "1e308"], ["--learning-rate", "1e+308"]),
        (["--epochs", "100000000000000000000"], ["--epochs"]),
        (["--run", "-x"], ["--run", "-x"]),
        (["--train-size", "3"], ["--train-size", "3"]),
        (["--train-size", "100000"], ["--train-size", "100000"]),
        (["--run", "a/b"], ["--run", "a/b"]),
        (["--run", ".."], ["--run", ".."]),
        (["--dataset", "cifar10", "--data-dir", "nowhere"], ["cifar10", "nowhere", "prepare"]),
    ],
)
def test_bad_input_is_one_line_and_makes_nothing(command, tmp_path, arguments, words):
    defaults = {"--network": "resnet-8", "--run": "bad", "--epochs": "1"}
    given = dict(zip(arguments[::2], arguments[1::2], strict=True))
    flat = [part for pair in (defaults | given).items() for part in pair]
    status, out, err = command("train", *flat)
    assert status == 2 and out == ""
    assert err.count("\n") == 1 and "Traceback" not in err
    assert all(word in err for word in words), err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--distribute", "all"], ["--distribute", "mirrored", "'all'"]),
        (["--cpu-devices", "0"], ["--cpu-devices", "at least 1"]),
        (["--processes", "2"], ["--coordinator", "processes=2"]),
        (["--precision", "float8"], ["--precision", "mixed_bfloat16", "'float8'"]),
        (["--jit", "yes"], ["--jit", "auto", "on", "off", "'yes'"]),
        (["--checkpoint-seconds", "-1"], ["--checkpoint-seconds", "-1"]),
    ],
)
def test_bad_devices_are_one_line(command, tmp_path, arguments, words):
    status, out, err = command(*TINY, "--epochs", 1, "--run", "bad", *arguments)
    assert status == 2 and out == ""
    assert err.count("\n") == 1 and all(word in err for word in words), err
    assert list(tmp_path.iterdir()) == []


def test_a_training_that_diverges_is_one_line_and_status_1(command):
    status, out, err = command(
        *TINY, "--learning-rate", "1e30", "--batch-size", 8, "--epochs", 1, "--run", "far"
    )
    assert status == 1 and out == ""
    assert err.splitlines()[-1].startswith("keras-selectscale: the loss is")


def test_diagnostics_are_written_and_need_a_drop(command, tmp_path):
    arguments = (*TINY, "--epochs", 2, "--diagnostics", "--run", "seen", "--jit", "off")
    arguments = (*arguments, "--maps-at", "1,2")
    status, _, err = command(*arguments)
    assert status == 2 and "Option --diagnostics must be used with a drop" in err
    assert not (tmp_path / "runs").exists()
    status, _, err = command(*arguments, "--drop", "selectscale")
    assert status == 0, err
    rows = list(csv.DictReader((tmp_path / "runs" / "seen" / "drops.csv").open()))
    assert [row["site"] for row in rows[:2]] == ["first_drop", "second_drop"]
    assert len(rows[1]["selected"].split()) == 8
    history = (tmp_path / "runs" / "seen" / "history.csv").read_text()
    assert history.splitlines()[0] == "epoch,loss,accuracy,learning_rate"
    (events,) = (tmp_path / "runs" / "seen" / "tensorboard").rglob("events*")
    assert b"drop_selected/first_drop" in events.read_bytes()
    assert b"epoch_drop_factor/first_drop" in events.read_bytes()
    # The maps of its epochs.
    status, out, err = command("cam", "seen", "--epochs")
    assert status == 0 and "6 images, 2 epochs" in out, err
    assert imread(tmp_path / "cam.png").std() > 0
    (tmp_path / "runs" / "seen" / "maps.npz").write_bytes(b"PK")
    status, out, err = command("cam", "seen", "--epochs")
    assert status == 2 and "maps.npz is damaged" in err and err.count("\n") == 1


@pytest.mark.parametrize("epochs", [(0,), (1, -2), (2**40,)])
def test_bad_epochs_of_maps_name_the_option(epochs):
    with pytest.raises(ValueError, match="Argument `maps_at` must be an integer from 1"):
        run_maps(epochs, None, None, None)
