import json

import pytest

from keras_selectscale.training import DamagedRunError, RunFolder

RECIPE = {"network": "resnet-8", "epochs": 3}
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
    with pytest.raises(ValueError, match="no folder of a run"):
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

    def read_only(self, mode="r", **options):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("pathlib.Path.open", read_only)
    with pytest.raises(OSError, match="config.json cannot be written: Read-only file system"):
        with run.lock():
            pass


def test_a_file_in_its_place_is_refused(tmp_path):
    (tmp_path / "run").write_text("mine")
    with pytest.raises(ValueError, match="no folder of a run"):
        RunFolder(tmp_path / "run").open(RECIPE, {})


def test_history_and_result_come_back(tmp_path):
    run = RunFolder(tmp_path / "run")
    run.open(RECIPE, {})
    run.write_history([{"epoch": 1, "loss": 2.5}, {"epoch": 2, "loss": 1.25}])
    assert run.read_history() == [{"epoch": "1", "loss": "2.5"}, {"epoch": "2", "loss": "1.25"}]
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
    with pytest.raises(FileNotFoundError, match="no folder of a run"):
        RunFolder(tmp_path / "nothing").read_config()


@pytest.mark.parametrize("content", [{}, {"recipe": 3}])
def test_a_config_without_a_recipe_is_damaged(tmp_path, content):
    run = RunFolder(tmp_path / "run")
    run.open(RECIPE, {})
    run.config_path.write_text(json.dumps(content))
    with pytest.raises(DamagedRunError, match="config.json is damaged"):
        run.open(RECIPE, {})


def test_a_result_that_lacks_a_number_is_damaged(tmp_path):
    run = RunFolder(tmp_path / "run")
    run.open(RECIPE, {})
    run.result_path.write_text("{}")
    with pytest.raises(DamagedRunError, match="result.json is damaged: it holds no test_error"):
        run.read_result()


def test_a_history_that_is_no_text_is_damaged(tmp_path):
    run = RunFolder(tmp_path / "run")
    run.open(RECIPE, {})
    run.history_path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DamagedRunError, match="history.csv is damaged"):
        run.read_history()


def test_a_number_that_is_none_is_not_written(tmp_path):
    run = RunFolder(tmp_path / "run")
    run.open(RECIPE, {})
    with pytest.raises(ValueError, match="JSON"):
        run.write_result(RESULT | {"test_loss": float("nan")})
    assert run.read_result() is None
