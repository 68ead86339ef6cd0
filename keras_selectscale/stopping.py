"""Stopping work when told: by Ctrl-C, by SIGTERM, or by a time limit.

Raising an exception from a signal handler is not reliable: if it arrives while a callback of JAX's
garbage collector runs, Python prints it and drops it. Therefore, inside `deferred()`, a handler
only sets a flag, and the work asks for it with `reason()` whenever it can stop, such as after each
batch. Outside of `deferred()`, a dropped exception is raised again.
"""

import _thread
import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

INTERRUPT = "Ctrl-C"
TERMINATE = "SIGTERM"
TIME_LIMIT = "the time limit"
# Exit statuses. Work that stopped and can be continued has EX_TEMPFAIL of `sysexits.h`, on which a
# batch scheduler can requeue a job.
INTERRUPTED = 130
STOPPED = 75
STATUSES = {INTERRUPT: INTERRUPTED, TERMINATE: STOPPED}
REASONS = {signal.SIGINT: INTERRUPT, signal.SIGTERM: TERMINATE}
# What a command prints that ends at once.
LINES = {
    INTERRUPT: "keras-selectscale: interrupted; run the same command again",
    TERMINATE: "keras-selectscale: stopped by SIGTERM; run the same command again",
}
# What a command prints if the first signal waits for a step that takes long.
WAITING = {
    INTERRUPT: "keras-selectscale: stopping after this step; press Ctrl-C again to stop at once",
    TERMINATE: "keras-selectscale: stopping after this step; a second SIGTERM stops at once",
}
WAITING_SECONDS = 1.0
# Time after which a dropped exception is raised again.
AGAIN_SECONDS = 0.05
CLEAR_LINE = b"\r\x1b[K"
SHOW_CURSOR = b"\x1b[?25h"


class Stopped(BaseException):
    """Work that stopped because of SIGTERM or a time limit. The message says where.

    Like `KeyboardInterrupt`, which stands for Ctrl-C, it is not an `Exception`, so that no error
    handler mistakes it for a failure.
    """


class _State:
    """What the handlers and the work share. Signals concern the whole process."""

    installed = False
    lines: Mapping[str, str] | None = None
    at_once = False
    stderr = 2
    received: str | None = None
    dropped = False
    deferred = 0
    deadline: float | None = None
    began = 0.0


_state = _State()
_leaving = threading.Lock()


def reason() -> str | None:
    """Returns why the work should stop as soon as it can, or `None`."""
    if _state.received is not None:
        return _state.received
    if _state.deadline is not None and time.monotonic() >= _state.deadline:
        return TIME_LIMIT
    return None


def received() -> str | None:
    """Returns which signal has arrived, or `None`."""
    return _state.received


def check(where: str = "") -> None:
    """Stops work that can stop here without a loss, such as between two runs.

    Args:
        where: Where the work would stop.

    Raises:
        KeyboardInterrupt: If Ctrl-C was pressed.
        Stopped: If SIGTERM arrived or the time limit has passed.
    """
    if (why := reason()) is not None:
        raise stop(why, where)


def check_signals() -> None:
    """Stops work like `check`, but on a signal only: the time limit waits for a better moment."""
    if _state.received is not None:
        raise stop(_state.received)


def stop(why: str, where: str = "") -> BaseException:
    """Returns the exception that ends work which stopped.

    Args:
        why: What `reason` returned.
        where: Where the work stopped.
    """
    if why == INTERRUPT:
        return KeyboardInterrupt(f"interrupted {where}".strip())
    return Stopped(f"stopped by {why} {where}".strip())


@contextlib.contextmanager
def signals(lines: Mapping[str, str] | None = None) -> Iterator[None]:
    """Handles Ctrl-C and SIGTERM inside the context.

    The first signal stops the work: at once, or if the work is inside `deferred()`, as soon as it
    asks. The second one stops it at once, like a kill. Nothing changes outside of the main thread,
    inside another such context, and for a signal that somebody else handles.

    Args:
        lines: If given, the second signal ends the process instead of raising an exception, even
            while a library compiles, and prints the line of `INTERRUPT` or `TERMINATE` on standard
            error.
    """
    usual: dict[int, Any] = {
        signal.SIGINT: signal.default_int_handler,
        signal.SIGTERM: signal.SIG_DFL,
    }
    if _state.installed or threading.current_thread() is not threading.main_thread():
        yield
        return
    _state.installed, _state.lines = True, lines
    _state.received, _state.dropped, _state.began = None, False, time.monotonic()
    replaced = [number for number, handler in usual.items() if signal.getsignal(number) == handler]
    hook = sys.unraisablehook

    def raise_again(unraisable: Any) -> None:
        """Raises an exception of the handler again that somebody else's callback has dropped."""
        dropped = unraisable.exc_type
        if dropped is None or not issubclass(dropped, KeyboardInterrupt | Stopped):
            hook(unraisable)
            return
        _state.dropped = True
        number = signal.SIGTERM if issubclass(dropped, Stopped) else signal.SIGINT
        threading.Timer(AGAIN_SECONDS, _thread.interrupt_main, [number]).start()

    with contextlib.ExitStack() as watched:
        try:
            for number in replaced:
                signal.signal(number, _handle)
            sys.unraisablehook = raise_again
            if lines is not None and hasattr(os, "set_blocking"):
                watched.enter_context(_watched(set(replaced)))
            yield
        finally:
            sys.unraisablehook = hook
            for number in replaced:
                signal.signal(number, usual[number])
            _state.installed, _state.received, _state.lines = False, None, None


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """Lets the first signal inside the context wait until the work asks for `reason()`.

    Outside of the main thread, in which Python handles signals, nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with signals():
        _state.deferred += 1
        try:
            yield
        finally:
            _state.deferred -= 1


@contextlib.contextmanager
def ending_at_once(stderr: int = 2) -> Iterator[None]:
    """Lets the first signal inside the context end the process, if `signals` has lines to print.

    An exception that interrupts the import of a backend leaves it half-initialized, and messages of
    the backend follow.

    Args:
        stderr: File descriptor on which to print the line.
    """
    before = _state.at_once, _state.stderr
    if _state.lines is not None:
        _state.at_once, _state.stderr = True, stderr
    try:
        yield
    finally:
        _state.at_once, _state.stderr = before


@contextlib.contextmanager
def time_limit(seconds: float | None, *, of_command: bool = False) -> Iterator[None]:
    """Limits the time of the work inside the context.

    Args:
        seconds: Time after which the work should stop; `None` for no limit.
        of_command: Whether the time began with the enclosing `signals()`, which is the start of a
            command, instead of now.
    """
    before = _state.deadline
    if seconds is not None:
        began = _state.began if of_command and _state.installed else time.monotonic()
        _state.deadline = began + seconds if before is None else min(before, began + seconds)
    try:
        yield
    finally:
        _state.deadline = before


def ignore() -> None:
    """Ignores further signals inside `signals()`: the work is over, and its last line is due."""
    if _state.installed and threading.current_thread() is threading.main_thread():
        for number in REASONS:
            if signal.getsignal(number) is _handle:
                signal.signal(number, signal.SIG_IGN)


def _handle(number: int, frame: Any) -> None:
    why = REASONS[signal.Signals(number)]
    first = _state.received is None
    dropped, _state.dropped = _state.dropped, False
    _state.received = _state.received or why
    if _state.lines is not None and (_state.at_once or not (first or dropped)):
        _exit(why)
    if _state.deferred and (first or dropped):
        return
    raise stop(why)


@contextlib.contextmanager
def _watched(numbers: set[int]) -> Iterator[None]:
    """Ends the process at once if the handler would, although a library keeps the main thread.

    Python calls a handler only when the main thread returns from a library's call, and a
    compilation takes half a minute. The numbers of signals go to a pipe immediately.
    """

    def watch() -> None:
        received = 0
        while number := os.read(reader, 1):
            # An exception that is raised again counts once.
            if number[0] not in numbers or _state.dropped:
                continue
            received += 1
            why = REASONS[signal.Signals(number[0])]
            if _state.at_once or received > 1:
                _exit(why)
            waiting = threading.Timer(WAITING_SECONDS, _say_waiting, [why])
            waiting.daemon = True
            waiting.start()
        os.close(reader)

    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    thread = threading.Thread(target=watch, daemon=True, name="signals")
    thread.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        os.close(writer)
        thread.join()


def _say_waiting(why: str) -> None:
    """Says that the first signal has arrived, if the step during which it did has not ended.

    Outside of `deferred()`, the step is a library's call, after which Python calls the handler.
    """
    with _leaving, contextlib.suppress(OSError):
        if _state.lines is not None and (_state.deferred or _state.received is None):
            start = CLEAR_LINE if os.isatty(_state.stderr) else b""
            os.write(_state.stderr, start + f"{WAITING[why]}\n".encode())


def _exit(why: str) -> None:
    # The handler and the thread that watches may both be here. One of them prints the line.
    _leaving.acquire()
    line = (_state.lines or {}).get(why, "")
    with contextlib.suppress(OSError):
        stderr, null = os.dup(_state.stderr), os.open(os.devnull, os.O_WRONLY)
        # The thread of a progress display would draw it again below the line.
        for descriptor in (1, 2):
            os.dup2(null, descriptor)
        start = CLEAR_LINE + SHOW_CURSOR if os.isatty(stderr) else b""
        os.write(stderr, start + f"{line}\n".encode())
    os._exit(STATUSES[why])
