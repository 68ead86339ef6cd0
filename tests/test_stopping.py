"""Signals and time limits, in this process and in one of its own."""

import gc
import signal
import subprocess
import sys
import time

import pytest

from keras_selectscale import stopping

SIGNALS = [
    (signal.SIGINT, KeyboardInterrupt, stopping.INTERRUPT),
    (signal.SIGTERM, stopping.Stopped, stopping.TERMINATE),
]


@pytest.mark.parametrize(("number", "error", "why"), SIGNALS)
def test_the_first_signal_stops_at_once(number, error, why):
    with pytest.raises(error), stopping.signals():
        signal.raise_signal(number)
    assert stopping.reason() is None


@pytest.mark.parametrize(("number", "error", "why"), SIGNALS)
def test_deferred_work_asks_and_a_second_signal_stops_at_once(number, error, why):
    with stopping.signals(), stopping.deferred():
        assert stopping.reason() is None
        stopping.check_signals()
        signal.raise_signal(number)
        assert stopping.reason() == why
        with pytest.raises(error):
            stopping.check_signals()
        with pytest.raises(error):
            signal.raise_signal(number)
    assert stopping.reason() is None


@pytest.mark.parametrize("seconds", [0.02, 5.0])
def test_a_step_that_takes_long_is_announced(seconds, monkeypatch, capfd):
    monkeypatch.setattr(stopping, "WAITING_SECONDS", seconds)
    with stopping.signals(stopping.LINES), stopping.deferred():
        signal.raise_signal(signal.SIGINT)
        time.sleep(0.2)
        assert stopping.reason() == stopping.INTERRUPT
    said = f"{stopping.WAITING[stopping.INTERRUPT]}\n" if seconds < 1 else ""
    assert capfd.readouterr().err == said


def test_the_usual_handlers_come_back_and_those_of_others_stay():
    ours = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: ours.append(number))
    try:
        with stopping.deferred():
            signal.raise_signal(signal.SIGTERM)
            assert ours == [signal.SIGTERM] and stopping.reason() is None
            assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGTERM, before)


def test_an_interrupt_that_a_callback_drops_is_raised_again():
    """As one of JAX's does, which runs when the garbage collector does."""

    def callback(phase, info):
        if phase == "start" and not dropped:
            dropped.append(True)
            signal.raise_signal(signal.SIGINT)

    dropped = []
    gc.callbacks.append(callback)
    try:
        with pytest.raises(KeyboardInterrupt), stopping.signals():
            gc.collect()
            assert dropped
            for _ in range(1000):
                time.sleep(0.01)
    finally:
        gc.callbacks.remove(callback)


def test_a_time_limit_is_a_reason_once_it_has_passed():
    with stopping.time_limit(1000):
        assert stopping.reason() is None
        with stopping.time_limit(1e-9), stopping.time_limit(None):
            assert stopping.reason() == stopping.TIME_LIMIT
            stopping.check_signals()
            error = stopping.stop(stopping.TIME_LIMIT, "at epoch 1")
            assert str(error) == "stopped by the time limit at epoch 1"
        assert stopping.reason() is None
    assert stopping.reason() is None


@pytest.mark.parametrize(("number", "status"), [("SIGINT", 130), ("SIGTERM", 75)])
@pytest.mark.parametrize("how", ["deferred()", "ending_at_once(2)"])
def test_a_command_ends_with_a_line_and_a_status(number, status, how):
    code = (
        "import signal\n"
        "from keras_selectscale import stopping\n"
        "lines = {stopping.INTERRUPT: 'a line', stopping.TERMINATE: 'a line'}\n"
        f"with stopping.signals(lines), stopping.{how}:\n"
        f"    signal.raise_signal(signal.{number})\n"
        "    print('once', flush=True)\n"
        f"    signal.raise_signal(signal.{number})\n"
        "    print('twice', flush=True)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (status, "a line\n")
    assert done.stdout == ("once\n" if how.startswith("deferred") else "")


def test_nothing_is_changed_in_another_thread():
    import threading

    found = []

    def work():
        with stopping.deferred():
            found.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [signal.default_int_handler]
