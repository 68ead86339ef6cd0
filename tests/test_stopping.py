"""Signals and time limits, in this process and in one of its own."""

import contextlib
import gc
import os
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


def test_a_library_that_keeps_the_main_thread_is_announced(monkeypatch, capfd):
    monkeypatch.setattr(stopping, "WAITING_SECONDS", 0.02)
    with pytest.raises(KeyboardInterrupt), stopping.signals(stopping.LINES):
        # The number of the signal is in the pipe, and the handler has not been called.
        writer = signal.set_wakeup_fd(-1)
        os.write(writer, bytes([signal.SIGINT]))
        time.sleep(0.2)
        signal.raise_signal(signal.SIGINT)
    assert capfd.readouterr().err == f"{stopping.WAITING[stopping.INTERRUPT]}\n"


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


@pytest.mark.parametrize("presses", [1, 2])
def test_ctrl_c_on_a_terminal_while_a_progress_display_is_drawn(presses):
    """The first one waits for the step and is announced, the second one does not."""
    pty = pytest.importorskip("pty")
    code = (
        "import sys, threading, time\n"
        "from keras_selectscale import stopping\n"
        "stopping.WAITING_SECONDS = 0.01\n"
        "def draw():\n"
        "    while True:\n"
        "        sys.stderr.write('\\x1b[?25l\\r' + 'bar ' * 9)\n"
        "        sys.stderr.flush()\n"
        "with stopping.signals(stopping.LINES), stopping.deferred():\n"
        "    threading.Thread(target=draw, daemon=True).start()\n"
        "    while not stopping.reason(): time.sleep(0.001)\n"
        "    time.sleep(0.2)\n"
        f"    while {presses} == 2: time.sleep(1)\n"
        "    stopping._exit(stopping.reason())\n"
    )
    child, terminal = pty.fork()
    if child == 0:
        os.execv(sys.executable, [sys.executable, "-c", code])
    drawn, pressed = b"", 0
    with contextlib.suppress(OSError):  # The end of the other side.
        while some := os.read(terminal, 4096):
            drawn += some
            expected = [b"bar", b"press Ctrl-C again"][pressed : pressed + 1]
            if pressed < presses and expected and expected[0] in drawn:
                os.write(terminal, b"\x03")
                pressed += 1
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == stopping.INTERRUPTED
    end = f"\r\x1b[K\x1b[?25h{stopping.LINES[stopping.INTERRUPT]}\r\n"
    assert drawn.decode().endswith(end) and pressed == presses


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
