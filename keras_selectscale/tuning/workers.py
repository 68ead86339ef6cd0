"""A chief and its workers on this machine."""

import os
import pathlib
import signal
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence

from keras_selectscale.tuning.chief import ADDRESS_VARIABLE, ID_VARIABLE, PORT_VARIABLE
from keras_selectscale.tuning.drop_tuner import MOST_DEATHS

# Nobody but this machine reaches it.
LOOPBACK = "127.0.0.1"
POLL_SECONDS = 0.5
# Once the search is over; what a worker still does then is to notice.
LEAVE_SECONDS = 15.0
CHIEF = "chief"


def run_workers(
    command: Sequence[str],
    count: int,
    logs: pathlib.Path,
    *,
    trials_ended: Callable[[], int],
    died: Callable[[str], None],
    say: Callable[[str], None],
) -> None:
    """Runs a search with KerasTuner's chief and workers, each a process, until it is over.

    A worker that dies is started again under its id, and takes its trial up. Where the chief is
    killed, all are started again, and the trials that were running run again. All end with this
    process, whatever ends it.

    Args:
        command: What each of them runs; the environment tells it what it is. Its standard input is
            a pipe that closes where this process ends.
        count: Number of workers, at least 1.
        logs: Folder of their outputs.
        trials_ended: Called twice a second; returns how many trials have ended.
        died: Told the id of a worker that died, before it is started again.
        say: Takes a line for the user.

    Raises:
        ChildProcessError: Where the chief ends with an error, or one of them dies again and again;
            it says why.
    """
    logs.mkdir(parents=True, exist_ok=True)
    port = _free_port()
    names = [f"worker{number}" for number in range(count)]
    processes: dict[str, subprocess.Popen] = {}

    def start(name: str) -> None:
        environment = {
            **os.environ,
            ID_VARIABLE: name,
            ADDRESS_VARIABLE: LOOPBACK,
            PORT_VARIABLE: str(port),
            # gRPC would ask a proxy for it.
            "no_proxy": ",".join(filter(None, [os.environ.get("no_proxy"), LOOPBACK])),
        }
        with (logs / f"{name}.log").open("ab") as log:
            processes[name] = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                # Ctrl-C comes to this process, which ends them.
                start_new_session=True,
            )
        say(f"{name} is process {processes[name].pid}, its output in {logs / name}.log")

    deaths: Counter[str] = Counter()
    ended, over_at = 0, None
    try:
        for name in (CHIEF, *names):
            start(name)
        while True:
            time.sleep(POLL_SECONDS)
            if (now_ended := trials_ended()) > ended:
                ended = now_ended
                deaths.clear()
            code = processes[CHIEF].poll()
            if code:
                deaths[CHIEF] += 1
                if code > 0 or deaths[CHIEF] > MOST_DEATHS:
                    raise ChildProcessError(
                        f"the chief ended {_how(code, logs / f'{CHIEF}.log')}; "
                        "the same command goes on from here"
                    )
                say(f"the chief ended {_how(code)}: it and its workers are started again")
                _end(list(processes.values()))
                port = _free_port()
                for name in (CHIEF, *names):
                    start(name)
                continue
            running = [name for name in names if processes[name].poll() is None]
            if code == 0:
                over_at = over_at or time.monotonic()
                if not running or time.monotonic() - over_at > LEAVE_SECONDS:
                    return
                continue
            for name in set(names) - set(running):
                code = processes[name].returncode
                if code == 0:  # It was told that there is nothing left.
                    continue
                deaths[name] += 1
                # By then the trial in which it dies has been given up: see DropTuner.
                if deaths[name] > MOST_DEATHS + 1:
                    raise ChildProcessError(
                        f"{name} ended {deaths[name]} times while no trial was done, the last time "
                        f"{_how(code, logs / f'{name}.log')}; the same command goes on from here"
                    )
                say(f"{name} ended {_how(code)}: it is started again under its id")
                died(name)
                start(name)
    finally:
        _end(list(processes.values()))


def _end(processes: list[subprocess.Popen]) -> None:
    for process in processes:
        if process.poll() is None:
            process.kill()
    for process in processes:
        process.wait(timeout=30)
        if process.stdin is not None:
            process.stdin.close()


def end_with_parent() -> None:
    """Ends this process when its standard input closes, a pipe that a kill of its parent closes."""

    def watch() -> None:
        # Past Python's own buffer, of which the interpreter wants the lock when it ends.
        while os.read(0, 1):
            pass
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="parent").start()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return probe.getsockname()[1]


def _how(code: int, log: pathlib.Path | None = None) -> str:
    """Says how a process ended, and the last that it said where it ended by itself."""
    if code < 0:
        return f"by signal {signal.Signals(-code).name}"
    said = "" if log is None else log.read_text(encoding="utf-8", errors="replace").strip()
    return f"with status {code}" + (f": {said.splitlines()[-1]}" if said else "")
