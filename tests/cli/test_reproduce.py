import json

import pytest

from tests.data import tiny_cifar10


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    data_dir = tmp_path_factory.mktemp("tfds")
    tiny_cifar10.prepare(data_dir, train=40, test=20)
    return data_dir


@pytest.mark.slow
def test_a_cell_runs_and_stands_beside_the_papers(command, tmp_path, prepared):
    arguments = (
        "reproduce", "table1/wrn-20-4/selectscale", "--runs", 2, "--epochs", 1,
        "--train-size", 20, "--data-dir", prepared,
    )  # fmt: skip
    status, out, err = command(*arguments)
    assert status == 0, err
    assert "table1/wrn-20-4/selectscale " in out and "4.24 ± 0.05 (5)" in out
    squeezed = " ".join(out.split())
    for word in ("1 of 200 epochs", "20 training", "2 of 5 runs"):
        assert word in squeezed
    path = tmp_path / "runs" / "reproduce" / "table1-wrn-20-4-selectscale.json"
    (row,) = json.loads(path.read_text())["rows"]
    assert f"{row['mean']:.2f} ± {row['deviation']:.2f} (2)" in squeezed
    folder = tmp_path / "runs" / "reproduce" / "table1-wrn-20-4-selectscale-1ep-20"
    recipe = json.loads((folder / "seed1" / "config.json").read_text())["recipe"]
    assert (recipe["top_rate"], recipe["retaining_rate"], recipe["seed"]) == (0.2, 0.0, 1)

    status, again, err = command(*arguments)
    assert (status, again, err.strip()) == (0, out, "")


def test_several_cells_and_single_seeds_are_opened(command, tmp_path, prepared, monkeypatch):
    from keras_selectscale.experiments import cells

    trained = []

    def train(recipe, run, images, **options):
        trained.append((run.path.parent.name, recipe.seed, options["checkpoint_seconds"]))
        result = {"test_error": recipe.seed, "train_error": 0, "parameters": 1, "epochs": 1}
        run.write_result({**result, "seconds": 1, "images_per_second": 1})
        return run.read_result()

    monkeypatch.setattr(cells, "train", train)
    arguments = (
        "reproduce", "table1/wrn-20-4/none", "table1/wrn-20-4/dropout/", "table1/wrn-20-4/none",
        "--seeds", "4,1", "--epochs", 1, "--data-dir", prepared, "--checkpoint-seconds", 7,
    )  # fmt: skip
    # However short the limit, a run is trained.
    status, out, err = command(*arguments, "--stop-after", "0.001s")
    assert (status, out, len(trained)) == (75, "", 1)
    said = "stopped by the time limit after 1 of 4 runs; run the same command again to continue\n"
    assert err.endswith(f"keras-selectscale: {said}")
    status, out, err = command(*arguments)
    assert status == 0, err
    folders = [f"table1-wrn-20-4-{name}-1ep" for name in ("none", "dropout")]
    assert trained == [(folder, seed, 7.0) for folder in folders for seed in (4, 1)]
    assert "seeds 4, 1" in " ".join(out.split())
    for name in ("none", "dropout"):
        path = tmp_path / "runs" / "reproduce" / f"table1-wrn-20-4-{name}.json"
        (row,) = json.loads(path.read_text())["rows"]
        assert (row["name"], row["seeds"]) == (f"table1/wrn-20-4/{name}", [4, 1])
        assert row["errors"] == [4, 1]


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["table1/wrn-20-4", "--seeds", "1,1"], ["--seeds", "different"]),
        (["table1/wrn-20-4", "--seeds", ""], ["--seeds", "different"]),
        (["table1/wrn-20-4", "--seeds", "-1"], ["--seeds", "-1"]),
        (["table1/wrn-20-4", "--seeds", "1.5"], ["--seeds", "1.5"]),
        (["table1/wrn-20-4", "--seeds", "1", "--runs", 2], ["--seeds", "runs"]),
        (["table1/wrn-20-4", "--checkpoint-seconds", -1], ["--checkpoint-seconds"]),
        (["table1/wrn-20-4", "table5"], ["table5"]),
        ([], ["NAME"]),
        (["table5"], ["table5", "table1/wrn-20-4/selectscale"]),
        (["table1/wrn-20-4", "--runs", 0], ["--runs", "0"]),
        (["table1/wrn-20-4", "--runs", 1000000], ["--runs", "1000000"]),
        (["table1/wrn-20-4", "--epochs", 0], ["--epochs", "0"]),
        (["table1/wrn-20-4", "--train-size", -1], ["--train-size", "-1"]),
        (["table1/wrn-20-4", "--precision", "auto"], ["--precision", "float32", "'auto'"]),
        (["table4", "--data-dir", "nowhere"], ["imagenet2012", "nowhere"]),
        (["table2/resnet-110/none", "--data-dir", "nowhere"], ["cifar100", "nowhere"]),
    ],
)
def test_bad_input_is_one_line_and_makes_nothing(command, tmp_path, arguments, words):
    status, out, err = command("reproduce", *arguments)
    assert status == 2 and out == "" and err.count("\n") == 1
    assert all(word in err for word in words)
    assert list(tmp_path.iterdir()) == []


def test_workers_train_single_runs_with_the_same_options(command, tmp_path, prepared, monkeypatch):
    from keras_selectscale.experiments import shared_runs

    commands = []

    def share_runs(cells, workers, command_of, logs, say):
        commands.extend(command_of(cell)[3:] for cell in cells)
        for cell in cells:
            result = {"test_error": 1, "train_error": 0, "parameters": 1, "epochs": 1}
            cell.run.write_result({**result, "seconds": 1, "images_per_second": 1})

    monkeypatch.setattr(shared_runs, "share_runs", share_runs)
    status, out, err = command(
        "reproduce", "table1/wrn-20-4/none", "--runs", 2, "--epochs", 1, "--data-dir", prepared,
        "--workers", 2, "--no-fused-normalization", "--stop-after", "9m",
    )  # fmt: skip
    assert status == 0, err
    assert "table1/wrn-20-4/none " in out
    for seed, words in enumerate(commands):
        assert words[:5] == [
            "reproduce",
            "table1/wrn-20-4/none",
            "--seeds",
            str(seed),
            "--with-parent",
        ]
        pairs = " ".join(words)
        assert "--epochs 1 " in pairs and f"--data-dir {prepared}" in pairs
        assert "--no-fused-normalization" in words and "--workers" not in words
    assert len(commands) == 2 and all("--stop-after" not in words for words in commands)
    status, out, err = command(
        "reproduce", "table1/wrn-20-4/none", "--workers", 2, "--distribute", "data"
    )
    assert status == 2 and "--workers" in err
