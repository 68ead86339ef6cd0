import importlib.util
import json

import click
import keras
import pytest

from keras_selectscale import console
from keras_selectscale.cli import compare

TINY = ("compare", "--train-size", 20, "--epochs", 1, "--seeds", 1)


@pytest.mark.slow
def test_the_main_job_end_to_end(command, tmp_path, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)  # pytest-xdist sets it.
    status, out, err = command(*TINY)
    assert status == 0, err
    folder = tmp_path / "runs" / "compare-digits-20-resnet-8"
    summary = json.loads((folder / "comparison.json").read_text())
    assert (folder / "comparison.png").stat().st_size > 10_000
    # Not what is fastest here: the figures of one machine are those of another.
    assert summary["recipe"]["precision"] == "float32" and "1 epoch, float32." in out
    positions = [out.index(f"{row['mean']:.2f}") for row in summary["methods"].values()]
    assert len(positions) == 6 and "no spread" in out
    for word in ("SpatialDropout", "SpatialScale", "Selectout", "SelectScale", "does not show"):
        assert word in out
    # In a pipe, a title is not broken.
    assert "without data drop" in out and "standard dropout" in out
    assert err.count("/6  ") == 6
    if keras.backend.backend() == "tensorflow":
        assert "equal the model's to the bit" in out and "no random operation" in out

    status, again, err = command(*TINY)
    assert (status, again, err.strip()) == (0, out, "")


def test_without_matplotlib_it_ends_before_anything_is_trained(command, tmp_path, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "matplotlib" else found(name)
    )
    status, out, err = command(*TINY)
    assert (status, out) == (2, "") and "keras-selectscale[cli]" in err
    assert err.count("\n") == 1 and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--seeds", 0], ["--seeds", "0"]),
        (["--seeds", 1000000], ["--seeds", "1000000"]),
        (["--run", ""], ["--run"]),
        (["--drop", "selectscale:rate=0.1"], ["--drop", "top_rate", "rate=0.1"]),
        (["--drop", "selectscale:top_rate=2"], ["--drop", "top_rate=2"]),
        (["--jit", "yes"], ["--jit", "'yes'"]),
        (["--network", "vgg-17"], ["depth", "17"]),
        (["--epochs", -3], ["--epochs", "-3"]),
        (["--run", "/tmp/x"], ["--run"]),
        (["--dataset", "cifar10", "--data-dir", "nowhere"], ["cifar10", "nowhere"]),
    ],
)
def test_bad_input_is_one_line_and_makes_nothing(command, tmp_path, arguments, words):
    status, out, err = command("compare", *arguments)
    assert status == 2 and out == "" and err.count("\n") == 1
    assert all(word in err for word in words)
    assert list(tmp_path.iterdir()) == []


def test_only_a_terminal_breaks_the_titles(capsys, tmp_path, monkeypatch):
    cell = {"mean": 3.3, "standard_deviation": None}
    titles = ["without data drop", "SelectScale (top 0.1, retaining 0.2)", *["Some Dropout"] * 4]
    summary = {
        "recipe": {"network": "resnet-8", "dataset": "digits", "epochs": 1, "precision": "float32"},
        "seeds": [0],
        "train_images": 10,
        "test_images": 10,
        "methods": {str(i): {**cell, "title": title} for i, title in enumerate(titles)},
        "limits": "",
        "export": {"skipped": "no"},
    }
    monkeypatch.delenv("COLUMNS", raising=False)  # pytest-xdist sets it.
    compare._print_summary(summary, tmp_path)
    assert " ".join(titles) in capsys.readouterr().out
    monkeypatch.setattr(console.Console, "is_terminal", True)
    monkeypatch.setenv("COLUMNS", "80")
    compare._print_summary(summary, tmp_path)
    out = click.unstyle(capsys.readouterr().out)
    assert titles[1] not in out and max(map(len, out.splitlines()[:6])) <= 80
