import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from keras_selectscale import stopping
from keras_selectscale.tuning import SearchFolder, run_workers
from tests.tuning.searches import made_up_tuner, trials_of

pytestmark = pytest.mark.slow

NOTHING = dict.fromkeys(("trials_ended", "died", "say"), lambda *_: 0)


def test_a_killed_worker_and_a_killed_chief(tmp_path, monkeypatch):
    monkeypatch.setenv("SECONDS_A_FIT", "1.5")
    monkeypatch.setenv("PYTHONPATH", str(pathlib.Path(__file__).resolve().parents[2]))
    path = tmp_path / "search"
    folder = SearchFolder(path)
    pids, deaths, told = {}, [], []

    def say(text):
        told.append(text)
        if " is process " in text:
            name, _, rest = text.partition(" is process ")
            pids[name] = int(rest.split(",")[0])

    def trials_ended():
        trials = folder.read_trials() if path.exists() else []
        running = [trial for trial in trials if trial.status == "RUNNING"]
        ended = len(trials) - len(running)
        # Each once: a worker in the middle of a trial, later the chief.
        if len(running) == 2 and ended >= 1 and "worker1" in pids and not deaths:
            os.kill(pids["worker1"], signal.SIGKILL)
        if ended >= 3 and not any("chief ended" in text for text in told):
            os.kill(pids["chief"], signal.SIGKILL)
        return ended

    def died(name):
        deaths.append(name)
        folder.note_death(name)

    run_workers(
        [sys.executable, "-m", "tests.tuning.searches", str(path), "work"],
        2,
        path / "workers",
        trials_ended=trials_ended,
        died=died,
        say=say,
    )
    assert deaths == ["worker1"]
    assert "worker1 ended by signal SIGKILL: it is started again under its id" in told
    assert "the chief ended by signal SIGKILL: it and its workers are started again" in told
    (noted,) = path.glob("trial_*/deaths.txt")
    assert noted.read_text() == "worker1\n"
    monkeypatch.setenv("SECONDS_A_FIT", "0")
    made_up_tuner("random", tmp_path / "alone", trials=5).search()
    alone, shared = trials_of(tmp_path / "alone"), trials_of(path)
    assert alone.keys() == shared.keys()
    for trial_id, (status, values, errors, _) in alone.items():
        # On their way from a worker the errors went through 32 bits.
        assert shared[trial_id][:3] == (status, values, pytest.approx(errors, rel=1e-6))


def test_the_processes_end_with_their_parent(tmp_path):
    code = (
        "import sys\n"
        "from keras_selectscale.tuning.workers import run_workers\n"
        "child = 'import os, time; from keras_selectscale.child_processes import end_with_parent; '"
        "'end_with_parent(); print(os.getpid(), flush=True); time.sleep(600)'\n"
        "run_workers([sys.executable, '-c', child], 1, __import__('pathlib').Path(sys.argv[1]),"
        "trials_ended=lambda: 0, died=print, say=print)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, tmp_path], stdout=subprocess.DEVNULL)
    logs = [tmp_path / f"{name}.log" for name in ("chief", "worker0")]

    def pids():
        lines = [log.read_text().split() for log in logs if log.exists()]
        return [int(words[-1]) for words in lines if words and words[-1].isdigit()]

    wait_for(lambda: len(pids()) == 2, "two processes")
    parent.kill()
    parent.wait()
    wait_for(lambda: not any(alive(pid) for pid in pids()), "their end")


def wait_for(done, what, seconds=90):
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, f"waited {seconds} s for {what}"
        time.sleep(0.1)


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("seconds", [3.0, 600.0])
def test_they_end_if_this_process_or_the_chief_is_told_to_stop(seconds, tmp_path):
    code = (
        "import os, signal, sys, time\n"
        "def told(*_):\n"
        "    time.sleep(0.5)\n"
        "    print('wrote a checkpoint')\n"
        "    sys.exit(75)\n"
        "signal.signal(signal.SIGTERM, told)\n"
        f"time.sleep(600 * ({seconds} < 600 or os.environ['KERASTUNER_TUNER_ID'] != 'chief'))\n"
        "time.sleep(2)\n"
        "sys.exit(75)"
    )
    lines = []
    with stopping.time_limit(seconds), pytest.raises(stopping.Stopped, match="after 0 trials"):
        options = {**NOTHING, "say": lines.append}
        run_workers([sys.executable, "-c", code], 1, tmp_path, **options)
    pids = [int(line.split(" is process ")[1].split(",")[0]) for line in lines]
    assert len(pids) == 2 and not any(alive(pid) for pid in pids)
    # A worker has the time for that, and the chief is not asked.
    assert (tmp_path / "worker0.log").read_text() == "wrote a checkpoint\n"
    assert (tmp_path / "chief.log").read_text() == ""


@pytest.mark.parametrize(
    "code, words",
    [
        ("print('no such dataset'); raise SystemExit(3)", ["chief", "status 3", "no such dataset"]),
        (
            "import os, time\n"
            "time.sleep(60 * (os.environ['KERASTUNER_TUNER_ID'] == 'chief'))\n"
            "print('no room')\n"
            "raise SystemExit(1)",
            ["worker0", "7 times", "status 1", "no room"],
        ),
    ],
)
def test_what_cannot_work_ends(code, words, tmp_path):
    with pytest.raises(ChildProcessError) as error:
        run_workers([sys.executable, "-c", code], 1, tmp_path, **NOTHING)
    assert all(word in str(error.value) for word in [*words, "to continue"]), error.value


def test_they_meet_on_loopback_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "example.org")
    code = "import os; print(*(os.environ[n] for n in ('KERASTUNER_ORACLE_IP', 'no_proxy')))"
    run_workers([sys.executable, "-c", code], 1, tmp_path, **NOTHING)
    assert (tmp_path / "chief.log").read_text() == "127.0.0.1 example.org,127.0.0.1\n"
