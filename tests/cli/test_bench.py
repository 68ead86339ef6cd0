import json
import os
import signal
import subprocess

import keras
import pytest

from keras_selectscale.benchmarking import growth, layer_table, predict_work, scale
from keras_selectscale.benchmarking.backend_modes import MODES, modes
from keras_selectscale.cli import bench
from keras_selectscale.data import streamed_batches

TINY = ("--quick", "--shapes", "2x4x4x8", "--methods", "selectscale", "--rounds", 2)
FAST = ("--seconds", 1e-6)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(layer_table, "QUICK_COPY_BYTES", (2**10, 2**12))
    values = {"channels": (2, 4), "batch": (1, 2), "resolution": (2, 4)}
    monkeypatch.setattr(growth, "QUICK_VALUES", values)


@pytest.mark.slow
def test_everything(command, tmp_path):
    # XLA is long in compiling.
    arguments = ("--batch-size", 2, "--modes", modes()[0], "--out-dir", "out")
    status, out, err = command("bench", *TINY, *FAST, *arguments)
    assert status == 0, err
    backend = keras.backend.backend()
    content = json.loads((tmp_path / "out" / "bench.json").read_text())
    assert content["options"]["quick"] is True and content["options"]["seed"] == 0
    result = content["backends"][backend]
    assert result["environment"]["packages"]["keras"] == keras.__version__
    assert set(result["rows"]) == {"layers", "steps", "growth"} and result["failed"] == []
    (case,) = result["steps"]
    assert set(case["seconds"]) == {"none", "keras-spatial-dropout", "selectscale"}
    pairs = zip(case["seconds"]["selectscale"], case["seconds"]["none"], strict=True)
    row = result["rows"]["steps"][2]
    assert row["side"] == "selectscale"
    assert row["over_none"][1] == pytest.approx(sum(a / b for a, b in pairs) / 2)
    assert out.startswith("Quick") and f"{backend} {modes()[0]}" in out
    assert f"resnet-8, {backend}" in out
    markdown = (tmp_path / "out" / "bench.md").read_text()
    assert "| SelectScale 2x4x4x8 |" in markdown and markdown.startswith("Quick")
    assert (tmp_path / "out" / "growth.png").stat().st_size > 10_000
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "bench.json",
        "bench.md",
        "growth.png",
    ]
    # 2 kinds of data and a copy, 6 sizes and a network: a line each where there is no terminal.
    assert err.count(f"{backend}  ") == 10 and "10/10" in err


@pytest.mark.slow
def test_another_backend_is_measured_in_a_process_of_its_own(command, tmp_path, monkeypatch):
    other = "jax" if keras.backend.backend() != "jax" else "torch"
    pytest.importorskip(other)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(_path()))
    status, out, err = command(
        "bench", "layers", *TINY, *FAST, "--backends", other, "--json", "x/y.json",
        "--precisions", "float32",
    )  # fmt: skip
    assert status == 0, err
    content = json.loads((tmp_path / "x" / "y.json").read_text())
    assert list(content["backends"]) == [other]
    result = content["backends"][other]
    assert result["environment"]["backend"] == other
    assert result["layers"]["cases"][0]["shape"] == [2, 4, 4, 8]
    assert f"Layers, {other} {MODES[other][0]}" in out


def _path():
    import pathlib

    import keras_selectscale

    return [str(pathlib.Path(keras_selectscale.__file__).parents[1])]


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["nonsense"], ["nonsense"]),
        (["layers", "--methods", "selectscal"], ["--methods", "selectscal"]),
        (["layers", "--shapes", "2x3"], ["--shapes", "(2, 3)"]),
        (["layers", "--shapes", "big"], ["--shapes", "big"]),
        (["layers", "--precisions", "float64"], ["--precisions", "float64"]),
        (["--backends", "mxnet"], ["--backends", "mxnet"]),
        (["--modes", "eagerly"], ["--modes", "eagerly"]),
        (["--rounds", 0], ["--rounds", "0"]),
        (["--batch-size", -1], ["--batch-size", "-1"]),
        (["--seconds", "nan"], ["--seconds", "nan"]),
        (["data", "--files", 19], ["--files", "19"]),
        (["search", "--trials", 1], ["--trials", "1"]),
        (["steps", "--networks", "alexnet"], ["--networks", "alexnet"]),
        (["steps", "--step-methods", "all"], ["--step-methods", "all"]),
        (["data", "--networks", "resnet-8", "--backends", "x"], ["--networks", "--backends"]),
        (["steps", "--files", "3"], ["--files"]),
    ],
)
def test_bad_input_is_one_line_and_makes_nothing(command, tmp_path, arguments, words):
    status, out, err = command("bench", *arguments)
    assert status == 2 and out == "" and err.count("\n") == 1
    assert all(word in err for word in words)
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_written_is_said_before_anything_is_measured(command, tmp_path):
    status, out, err = command("bench", *TINY, "--json", "/proc/bench.json", "--out-dir", "out")
    assert status == 2 and out == "" and err.count("\n") == 1 and "/proc" in err


def test_a_process_that_dies_is_told_and_the_others_are_kept(command, tmp_path, monkeypatch):
    result = {"environment": {}, "device": "cpu", "failed": [], "rows": {"layers": []}}
    answers = {"jax": (0, result), "torch": (-9, {})}
    monkeypatch.setattr(bench, "_backends", lambda names, active: ("jax", "torch"))
    monkeypatch.setattr(bench, "_measure_in_process", answers.get)
    status, _, err = command("bench", "layers", "--quick", "--out-dir", "out")
    assert status == 1 and "torch: its process ended with status -9" in err
    content = json.loads((tmp_path / "out" / "bench.json").read_text())
    assert list(content["backends"]) == ["jax"]


def test_an_interruption_keeps_what_is_done_and_promises_nothing(command, tmp_path, monkeypatch):
    result = {"environment": {}, "device": "cpu", "failed": [], "rows": {"layers": []}}

    def measure(backend):
        if backend == "torch":
            raise KeyboardInterrupt
        return 0, result

    monkeypatch.setattr(bench, "_backends", lambda names, active: ("jax", "torch"))
    monkeypatch.setattr(bench, "_measure_in_process", measure)
    status, _, err = command("bench", "layers", "--quick", "--out-dir", "out")
    assert status == 130 and "interrupted" in err and "to continue" not in err
    assert "jax" in json.loads((tmp_path / "out" / "bench.json").read_text())["backends"]


def test_a_mode_of_another_backend_is_bad_input(command):
    other = "jax" if keras.backend.backend() != "jax" else "torch"
    status, _, err = command("bench", "--modes", MODES[other][0])
    assert status == 2 and "--modes" in err and modes()[0] in err


def test_a_depth_that_is_none_is_bad_input(command):
    status, _, err = command("bench", "steps", "--quick", "--networks", "resnet-9")
    assert status == 2 and "6n + 2" in err and "resnet-9" in err


def test_a_side_that_fails_is_told_and_the_status_is_1(command, monkeypatch):
    monkeypatch.setattr(layer_table, "copy_work", lambda mode, x: lambda: 1 // 0)
    status, out, err = command("bench", "layers", *TINY, *FAST, "--modes", modes()[0])
    assert status == 1 and "SelectScale" in out
    assert f"Failed: {keras.backend.backend()} copy ({modes()[0]}, float32, signed" in err


def test_an_interruption_ends_the_process_of_a_backend(monkeypatch):
    started = []

    class Interrupted(subprocess.Popen):
        def wait(self, timeout=None):
            if not started:
                started.append(self)
                raise KeyboardInterrupt
            return super().wait(timeout)

    monkeypatch.setattr(subprocess, "Popen", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        bench._run_alone(["sleep", "60"], dict(os.environ))
    # Ctrl-C reached this process only, which killed the other one.
    assert started[0].returncode == -signal.SIGKILL
    assert bench._run_alone(["false"], dict(os.environ)) == 1


def test_benchmarks_of_scale_are_those_of_the_registry():
    assert set(bench.SCALE) == set(scale.BENCHMARKS)


@pytest.mark.parametrize(
    ("what", "sizes", "rows"),
    [
        pytest.param(
            "search",
            ("--trials", 3),
            ["random, trial 3", "bayesian, trial 3"],
            marks=pytest.mark.slow,
        ),
        ("predict", ("--samples", 2), ["resnet-8, 1 images", "resnet-8, 2 images"]),
        pytest.param(
            "data",
            ("--files", 40),
            ["40 images of varying size, opened", "further 1 training batches of varying size"],
            marks=pytest.mark.slow,
        ),
    ],
)
def test_what_grows_with_the_work_is_measured(command, tmp_path, monkeypatch, what, sizes, rows):
    monkeypatch.setattr(predict_work, "NETWORK", "resnet-8")
    monkeypatch.setattr(predict_work, "IMAGES", (1, 2))
    monkeypatch.setattr(streamed_batches, "PART", 1)  # A graph for each image of a call.
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(_path()))
    status, out, err = command("bench", what, *sizes, "--rounds", 1, "--out-dir", "out")
    assert status == 0, err
    result = json.loads((tmp_path / "out" / f"{what}.json").read_text())
    assert set(rows) <= {row["what"] for row in result["rows"]}
    assert all(row["ours"][1] > 0 for row in result["rows"])
    table = (tmp_path / "out" / f"{what}.md").read_text()
    assert all(f"| {row} |" in table for row in rows) and what in err
