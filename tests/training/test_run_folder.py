import json

import pytest

from keras_selectscale.training import DamagedRunError, Recipe, RunFolder
from keras_selectscale.training.run_folder import HistoryRow

RECIPE = Recipe(network="resnet-8", dataset="digits", epochs=3).as_json()
RESULT = {
    "test_error": 3.5,
    "train_error": 1.0,
    "parameters": 7,
    "epochs": 3,
    "seconds": 2.0,
    "images_per_second": 9.0,
}


def test_a_new_folder_records_what_made_it(tmp_path):
    run = RunFolder(tmp_path / "runs" / "first")
    run.open(RECIPE, {"keras": "3"})
    assert json.loads(run.config_path.read_text()) == {
        "recipe": RECIPE,
        "environment": {"keras": "3"},
    }
    assert run.read_result() is None and run.read_history() == []


def test_the_same_recipe_takes_it_up_and_keeps_the_record(tmp_path):
    RunFolder(tmp_path / "run").open(RECIPE, {"keras": "3.1"})
    run = RunFolder(tmp_path / "run")
    run.open(RECIPE, {"keras": "3.2"})
    assert run.read_config()["environment"] == {"keras": "3.1"}


def test_another_recipe_is_refused_and_the_change_is_said(tmp_path):
    RunFolder(tmp_path / "run").open(RECIPE, {})
    before = (tmp_path / "run" / "config.json").read_bytes()
    with pytest.raises(ValueError, match="epochs: 3 there, 5 here"):
        RunFolder(tmp_path / "run").open(RECIPE | {"epochs": 5}, {})
    assert (tmp_path / "run" / "config.json").read_bytes() == before


def test_a_folder_of_something_else_is_refused_and_left_alone(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.tex").write_text("mine")
    with pytest.raises(ValueError, match="not the folder of a run"):
        RunFolder(tmp_path / "run").open(RECIPE, {})
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["thesis.tex"]


def test_what_a_killed_start_left_is_taken_up(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".config.json.part").write_text("{")
    run = RunFolder(tmp_path / "run")
    run.open(RECIPE, {})
    assert run.read_recipe() == RECIPE
    assert [path.name for path in run.path.iterdir()] == ["config.json"]


def test_two_processes_cannot_write_one_run(tmp_path):
    run = RunFolder(tmp_path / "run")
    run.open(RECIPE, {})
    with run.lock():
        with pytest.raises(BlockingIOError, match="run is being written by another process"):
            with RunFolder(run.path).lock():
                pass
    with run.lock():
        pass


def test_a_run_that_cannot_be_written_is_named_before_anything_is_done(tmp_path, monkeypatch):
    run = RunFolder(tmp_path / "run")
    run.open(RECIPE, {})

    def read_only(self):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("filelock.FileLock.acquire", read_only)
    with pytest.raises(OSError, match="run cannot be written: Read-only file system"):
        with run.lock():
            pass


def test_a_file_in_its_place_is_refused(tmp_path):
    (tmp_path / "run").write_text("mine")
    with pytest.raises(ValueError, match="not the folder of a run"):
        RunFolder(tmp_path / "run").open(RECIPE, {})


def test_history_and_result_come_back(tmp_path):
    run = RunFolder(tmp_path / "run")
    run.open(RECIPE, {})
    # As Keras' float32 arrives: the shortest text stands for the same number.
    run.write_history(
        [HistoryRow(1, 2.5, 0.5, 0.10000000149011612), HistoryRow(2, 1 / 3, 1.0, 0.0)]
    )
    assert run.history_path.read_text() == (
        "epoch,loss,accuracy,learning_rate\n1,2.5,0.5,0.1\n2,0.3333333333333333,1.0,0.0\n"
    )
    assert run.read_history()[1]["learning_rate"] == "0.0"
    run.write_result(RESULT)
    assert run.read_result() == RESULT


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    run = RunFolder(tmp_path / "run")
    run.open(RECIPE, {})
    run.write_result(RESULT)

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        run.write_result(RESULT | {"test_error": 1.0})
    assert run.read_result() == RESULT


@pytest.mark.parametrize("text", ["{", "[]", ""])
def test_a_damaged_file_is_named(tmp_path, text):
    run = RunFolder(tmp_path / "run")
    run.open(RECIPE, {})
    run.config_path.write_text(text)
    with pytest.raises(ValueError, match="config.json is damaged"):
        run.read_config()


def test_no_run_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match="not the folder of a run"):
        RunFolder(tmp_path / "nothing").read_config()


@pytest.mark.parametrize("content", [{}, {"recipe": 3}])
def test_a_config_without_a_recipe_is_damaged(tmp_path, content):
    run = RunFolder(tmp_path / "run")
    run.open(RECIPE, {})
    run.config_path.write_text(json.dumps(content))
    with pytest.raises(DamagedRunError, match="config.json is damaged"):
        run.open(RECIPE, {})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"test_error": None}, "`test_error`: expected float, received None"),
        ({"parameters": "x"}, "`parameters`: expected int, received 'x'"),
        ({"colour": 3}, "`colour` is unknown"),
        ({}, "`test_error` is missing"),
    ],
)
def test_a_wrong_field_of_a_result_is_named(tmp_path, changes, words):
    run = RunFolder(tmp_path / "run")
    run.open(RECIPE, {})
    run.result_path.write_text(json.dumps(RESULT | changes if changes else {}))
    with pytest.raises(DamagedRunError, match=f"result.json is damaged: .*{words}"):
        run.read_result()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"recipe": RECIPE | {"epochs": "3"}}, "`recipe.epochs`: expected int, received '3'"),
        ({"recipe": RECIPE | {"epochs": 0}}, "`epochs`.*from 1.*Received: epochs=0"),
        ({"recipe": RECIPE | {"colour": 3}}, "`recipe.colour` is unknown"),
        ({"recipe": {"network": "resnet-8"}}, "`recipe.dataset` is missing"),
        ({"environment": {"jit": "on"}}, "`environment.jit`: expected bool"),
        ({"environment": 3}, "`environment`: expected object, received 3"),
    ],
)
def test_a_wrong_field_of_a_config_is_named(tmp_path, changes, words):
    run = RunFolder(tmp_path / "run")
    run.open(RECIPE, {})
    run.config_path.write_text(json.dumps({"recipe": RECIPE, "environment": {}} | changes))
    with pytest.raises(DamagedRunError, match=f"config.json is damaged: .*{words}"):
        run.read_jit()
        run.read_recipe()


def test_what_an_older_version_did_not_record_takes_its_former_value(tmp_path):
    run = RunFolder(tmp_path / "run")
    run.open(RECIPE, {})
    older = {name: value for name, value in RECIPE.items() if name not in ("image_size", "score")}
    run.config_path.write_text(json.dumps({"recipe": older}))
    run.open(RECIPE, {})
    assert run.read_recipe() == RECIPE and run.read_jit() is None


def test_a_run_keeps_the_normalization_with_which_it_began(tmp_path):
    run, recipe = RunFolder(tmp_path / "run"), Recipe.from_json(RECIPE)
    assert run.as_begun(recipe) is recipe
    older = {name: value for name, value in RECIPE.items() if name != "normalization"}
    run.open(recipe, {})
    run.config_path.write_text(json.dumps({"recipe": older}))
    run.open(recipe, {})
    assert recipe.normalization == "fused" and run.as_begun(recipe).normalization == "keras"


HEAD = b"epoch,loss,accuracy,learning_rate\n"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\xff\xfe\x00", "it is not UTF-8 text"),
        (HEAD + b"1,2", "the field `row 1.accuracy`: expected float, received None"),
        (HEAD + b"1,2,0.5,0.1\nx,1,0.5,0.1", "the field `row 2.epoch`: expected int, received 'x'"),
        (HEAD + b"1.5,2,0.5,0.1\n", "the field `row 1.epoch`: expected int, received '1.5'"),
        (HEAD + b"2,2,0.5,0.1\n1,1,0.5,0.1", "the field `row 1.epoch`: expected 1, received 2"),
        (HEAD + b"1,2,0.5,0.1\n1,1,0.5,0.1", "the field `row 2.epoch`: expected 2, received 1"),
        (HEAD + b"1,2,0.5,0.1" + b"9" * 200_000, "field larger than field limit"),
    ],
)
def test_a_damaged_history_is_named(tmp_path, content, reason):
    run = RunFolder(tmp_path / "run")
    run.open(RECIPE, {})
    run.history_path.write_bytes(content)
    with pytest.raises(DamagedRunError, match=f"history.csv is damaged: {reason}"):
        run.read_history()


def test_the_lock_of_a_finished_run_is_removed(tmp_path):
    run = RunFolder(tmp_path / "run")
    run.open(RECIPE, {})
    with run.lock():
        assert (run.path / ".lock").exists()
        run.write_result(RESULT)
    assert not (run.path / ".lock").exists()


def test_a_number_that_is_none_is_not_written(tmp_path):
    run = RunFolder(tmp_path / "run")
    run.open(RECIPE, {})
    with pytest.raises(ValueError, match="JSON"):
        run.write_result(RESULT | {"test_loss": float("nan")})
    assert run.read_result() is None
