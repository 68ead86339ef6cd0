import socket

import pytest

from keras_selectscale.tuning import kerastuner
from tests.tuning.searches import made_up_tuner


@pytest.fixture
def free_port(monkeypatch):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    monkeypatch.setenv("KERASTUNER_ORACLE_IP", "127.0.0.1")
    monkeypatch.setenv("KERASTUNER_ORACLE_PORT", str(port))
    return port


def test_who_is_who(monkeypatch, free_port):
    monkeypatch.setenv("KERASTUNER_TUNER_ID", "chief")
    assert (kerastuner.is_chief(), kerastuner.is_worker()) == (True, False)
    monkeypatch.setenv("KERASTUNER_TUNER_ID", "worker3")
    assert (kerastuner.is_chief(), kerastuner.is_worker()) == (False, True)
    monkeypatch.delenv("KERASTUNER_ORACLE_IP")
    assert (kerastuner.is_chief(), kerastuner.is_worker()) == (False, False)


def test_a_chief_without_workers_ends_and_says_for_what_it_waited(tmp_path, monkeypatch, free_port):
    monkeypatch.setenv("KERASTUNER_TUNER_ID", "chief")
    tuner = made_up_tuner("random", tmp_path, wait_seconds=0.5)
    with pytest.raises(TimeoutError, match="waited 0.5 s for a worker to ask for a trial"):
        tuner.search()


def test_a_chief_ends_where_a_worker_gives_no_sign(tmp_path, monkeypatch, free_port):
    monkeypatch.setenv("KERASTUNER_TUNER_ID", "chief")
    tuner = made_up_tuner("random", tmp_path, wait_seconds=0.5)
    tuner.oracle.create_trial("worker7")
    with pytest.raises(TimeoutError, match="sign of life of worker7, which has trial t0000"):
        tuner.search()
    # And the search goes on: the trial is the first to run.
    monkeypatch.delenv("KERASTUNER_ORACLE_IP")
    tuner = made_up_tuner("random", tmp_path)
    assert tuner.oracle.create_trial("tuner0").trial_id == "t0000"


def test_a_worker_without_a_chief_ends_and_says_for_what_it_waited(
    tmp_path, monkeypatch, free_port
):
    monkeypatch.setenv("KERASTUNER_TUNER_ID", "worker0")
    tuner = made_up_tuner("random", tmp_path, wait_seconds=0.5)
    with pytest.raises(TimeoutError, match=f"worker0 waited for a trial .*127.0.0.1:{free_port}"):
        tuner.search()


def test_a_port_that_is_taken(tmp_path, monkeypatch, free_port):
    monkeypatch.setenv("KERASTUNER_TUNER_ID", "chief")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", free_port))
        taken.listen()
        with pytest.raises(OSError, match=f"cannot listen at 127.0.0.1:{free_port}"):
            made_up_tuner("random", tmp_path).search()
