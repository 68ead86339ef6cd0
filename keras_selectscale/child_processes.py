"""Processes that this one starts, and that end with it."""

import contextlib
import os
import pathlib
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence

END_SECONDS = 30.0
# How long a process may take to finish its step and write a checkpoint when it is told to stop.
STOP_SECONDS = 60.0


def start(
    command: Sequence[str], environment: Mapping[str, str], log: pathlib.Path
) -> subprocess.Popen:
    """Starts a process whose output is appended to a file.

    Its standard input is a pipe that closes when this process ends; see `end_with_parent`. Only
    this process receives Ctrl-C, and ends the others.

    Args:
        command: What it runs.
        environment: Its whole environment.
        log: File for its output.
    """
    with log.open("ab") as file:
        return subprocess.Popen(
            command,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )


def end_with_parent() -> None:
    """Ends this process when its standard input closes, which happens if its parent is killed."""

    def watch() -> None:
        # Bypasses Python's buffer, whose lock the interpreter needs when it ends.
        while os.read(0, 1):
            pass
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="parent").start()


def stop(processes: Sequence[subprocess.Popen]) -> None:
    """Tells processes by SIGTERM to stop, and waits until they have, at most `STOP_SECONDS`."""
    running = [process for process in processes if process.poll() is None]
    for process in running:
        process.terminate()
    until = time.monotonic() + STOP_SECONDS
    for process in running:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=max(0.0, until - time.monotonic()))


def end(processes: Sequence[subprocess.Popen]) -> None:
    """Kills the processes that run, and waits for all of them."""
    for process in processes:
        if process.poll() is None:
            process.kill()
    for process in processes:
        process.wait(timeout=END_SECONDS)
        if process.stdin is not None:
            process.stdin.close()


def how_it_ended(code: int, log: pathlib.Path | None = None) -> str:
    """Describes how a process ended, with its last line of output unless a signal killed it."""
    if code < 0:
        return f"by signal {signal.Signals(-code).name}"
    said = "" if log is None else log.read_text(encoding="utf-8", errors="replace").strip()
    return f"with status {code}" + (f": {said.splitlines()[-1]}" if said else "")
