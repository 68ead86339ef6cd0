import dataclasses
import json
import subprocess
import sys

import pytest

from keras_selectscale.training import DamagedRunError
from keras_selectscale.tuning import Search, SearchFolder, make_report
from tests.tuning.folders import RECIPE, TRIALS, finished, metric, scale, write


def test_the_trials_as_the_files_have_them(tmp_path):
    _, folder = finished(tmp_path, TRIALS)
    trials = folder.read_trials()
    assert [trial.id for trial in trials] == ["00", "01", "02", "03", "04", "05"]
    assert [trial.status for trial in trials] == ["COMPLETED"] * 4 + ["FAILED", "RUNNING"]
    assert (trials[0].score, trials[0].deviation) == (7.0, pytest.approx(2**0.5))
    assert (trials[4].score, trials[4].message) == (None, "FloatingPointError: the loss is nan")
    assert (trials[5].score, trials[5].deviation, trials[5].errors) == (None, None, [3.0])


def test_the_reason_that_a_worker_left_beside(tmp_path):
    _, folder = finished(tmp_path, [(scale(0.1, 0.1), "x")])
    path = tmp_path / "trial_00" / "trial.json"
    path.write_text(path.read_text().replace('"x\\n\\nTraceback"', "null"))
    assert folder.read_trials()[0].message == "the reason is not known"
    (tmp_path / "trial_00" / "failure.txt").write_text("MemoryError: no room\n\nTraceback")
    assert SearchFolder(tmp_path).read_trials()[0].message == "MemoryError: no room"


def test_it_is_opened_again_by_the_same_search_alone(tmp_path):
    search, folder = finished(tmp_path / "search", TRIALS)
    folder.open(search, {})
    folder.open(dataclasses.replace(search, trials=50), {})
    assert folder.read_search().trials == 50
    keras = dataclasses.replace(RECIPE, normalization="keras")  # The search keeps the kernel.
    folder.open(dataclasses.replace(search, recipe=keras), {})
    for other in (
        dataclasses.replace(search, seeds=3),
        dataclasses.replace(search, recipe=dataclasses.replace(RECIPE, epochs=9)),
        dataclasses.replace(search, top_rates=(0.2,)),
        dataclasses.replace(search, seed=2),
        dataclasses.replace(search, recipe=dataclasses.replace(RECIPE, seed=2)),
    ):
        with pytest.raises(ValueError, match="another search .* there, .* here"):
            folder.open(other, {})
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").write_text("mine")
    for refused in (
        SearchFolder(tmp_path / "notes").remove,
        lambda: SearchFolder(tmp_path / "notes").open(search, {}),
    ):
        with pytest.raises((ValueError, FileNotFoundError), match="not the folder of a search"):
            refused()
    assert (tmp_path / "notes" / "mine.txt").read_text() == "mine"


def test_starting_over_removes_what_a_search_wrote_and_nothing_else(tmp_path):
    search, folder = finished(tmp_path / "search", TRIALS)
    outside = tmp_path / "outside"
    write(outside / "trial.json", {})
    own = ["tuner.json", "trials.csv", "trial_04/failure.txt", "trial_00/seed0.weights.h5"]
    own += ["tensorboard/t0000/seed0/events.out.tfevents.1", "winner-03/checkpoint.keras"]
    theirs = ["notes.txt", "trial_00/notes.txt", "trials/trial.json", "winner/mine.keras.bak"]
    own += [".heatmap.png.part", "trial_00/.trial.json.part", "winner/.history.csv.part"]
    theirs += [".film.mkv.part", "trial_00/.film.mkv.part", "winner/.film.mkv.part"]
    for name in own + theirs:
        write(folder.path / name, {})
    (folder.path / "trial_link").symlink_to(outside)
    folder.remove()
    left = {
        path.relative_to(folder.path).as_posix()
        for path in folder.path.rglob("*")
        if path.is_file()
    }
    assert left - {".lock", "trial_link/trial.json"} == set(theirs)
    assert (outside / "trial.json").exists() and (folder.path / "trial_link").is_symlink()
    assert not list(folder.path.glob("tensorboard"))
    with pytest.raises(ValueError, match="trial_link is a symbolic link: replace it by a folder"):
        folder.open(search, {})
    (folder.path / "trial_link").unlink()
    folder.open(search, {})
    assert folder.read_search() == search


def test_what_is_written_stays_in_the_folder(tmp_path):
    search, folder = finished(tmp_path / "search", TRIALS)
    outside = tmp_path / "outside.txt"
    outside.write_text("theirs")
    for name in ("trials.csv", "report.json", "heatmap.png"):
        (folder.path / name).unlink(missing_ok=True)
        (folder.path / name).symlink_to(outside)
        (folder.path / f".{name}.part").symlink_to(outside)
    make_report(folder)
    assert outside.read_text() == "theirs"
    assert not any(path.is_symlink() for path in folder.path.iterdir())
    for place in ("workers", "tensorboard", "trial_05/deaths.txt", "winner/tensorboard"):
        (folder.path / place).parent.mkdir(exist_ok=True)
        (folder.path / place).symlink_to(tmp_path)
        with pytest.raises(ValueError, match=f"{place} is a symbolic link"):
            folder.open(search, {})
        (folder.path / place).unlink()


def test_another_data_folder_is_recorded_but_a_workers(tmp_path):
    search, folder = finished(tmp_path / "search", TRIALS)
    folder.open(search, {}, "first")
    assert folder.read_data_dir() == "first"
    folder.open(search, {}, "second")
    assert folder.read_data_dir() == "second"
    folder.open(search, {}, "of a worker", for_worker=True)
    assert folder.read_data_dir() == "second"


@pytest.mark.parametrize(
    "name, content, words",
    [
        ("search.json", "{", "search.json is damaged"),
        ("search.json", '{"search": {"seeds": 0}}', "search.json is damaged"),
        ("trial_00/trial.json", '{"status": "COMPLETED"}', "trial.json is damaged"),
        ("trial_00/trial.json", "", "trial.json is damaged"),
        ("oracle.json", "[]", "oracle.json is damaged"),
        (
            "oracle.json",
            '{"start_order": ["00"], "end_order": ["01"]}',
            "oracle.json is damaged: the field `start_order`: .*'01', which is in `end_order`",
        ),
    ],
)
def test_a_damaged_file_is_named(name, content, words, tmp_path):
    finished(tmp_path, TRIALS)
    (tmp_path / name).write_text(content)
    folder = SearchFolder(tmp_path)
    with pytest.raises(DamagedRunError, match=words):
        folder.read_search()
        folder.read_trials()


@pytest.mark.slow
def test_a_second_search_waits_for_the_folder(tmp_path):
    finished(tmp_path, [])
    code = (
        "import sys; from keras_selectscale.tuning import SearchFolder\n"
        "with SearchFolder(sys.argv[1]).lock(): print('locked', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout.readline() == b"locked\n"
        with (
            pytest.raises(ValueError, match="in use: waited 0.5 s"),
            SearchFolder(tmp_path).lock(0.5),
        ):
            pass
        with pytest.raises(ValueError, match="in use"):
            SearchFolder(tmp_path).remove(seconds=0.1)
        assert (tmp_path / "search.json").exists()
        other.kill()
        other.wait()
        with SearchFolder(tmp_path).lock(5):
            pass


def test_a_death_is_noted_in_the_workers_trial(tmp_path):
    _, folder = finished(tmp_path, TRIALS)
    folder.note_death("worker0")
    write(tmp_path / "oracle.json", {"start_order": ["05"], "ongoing_trials": {"worker0": "05"}})
    folder.note_death("worker0")
    folder.note_death("worker1")
    (noted,) = tmp_path.glob("*/deaths.txt")
    assert noted.parent.name == "trial_05" and noted.read_text() == "worker0\n"


def test_what_is_no_search():
    with pytest.raises(FileNotFoundError, match="not the folder of a search"):
        SearchFolder("nowhere").read_search()
    with pytest.raises(ValueError, match="the field `sieve` is unknown"):
        Search.from_json({"recipe": RECIPE.as_json(), "sieve": 1})


@pytest.mark.parametrize("errors", [[6.0, float("nan")], []])
def test_a_completed_trial_has_finite_errors(errors, tmp_path):
    _, folder = finished(tmp_path, [(scale(0.2, 0.0), [6.0, 5.0])])
    path = tmp_path / "trial_00" / "trial.json"
    state = json.loads(path.read_text())
    write(path, state | {"metrics": {"metrics": metric(errors) or {"loss": {}}}})
    with pytest.raises(DamagedRunError, match=r"trial\.json is damaged: .*validation_error"):
        folder.read_trials()


def test_a_librarys_message_does_not_repeat_the_file(tmp_path):
    _, folder = finished(tmp_path, [(scale(0.2, 0.0), [6.0, 5.0])])
    path = tmp_path / "trial_00" / "trial.json"
    path.write_text(path.read_text().replace('"min"', f'"{"9" * 5000}"'))
    with pytest.raises(DamagedRunError, match=r"characters\)$") as caught:
        folder.read_trials()
    assert len(str(caught.value)) < 600
