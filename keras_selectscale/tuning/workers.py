"""KerasTuner's chief and its workers, with a limit on waiting, and all of them on this machine."""

import contextlib
import os
import pathlib
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures

from keras_selectscale import child_processes, gpus, stopping
from keras_selectscale.checks import shown
from keras_selectscale.child_processes import how_it_ended
from keras_selectscale.tuning.kerastuner import (
    ADDRESS_VARIABLE,
    ID_VARIABLE,
    PORT_VARIABLE,
    LastingOracle,
    add_servicer,
)
from keras_selectscale.wording import counted

# A trial fails after this many deaths of its worker.
MOST_DEATHS = 5
QUESTION_SECONDS = 0.2
REFRESH_SECONDS = 1.0
# Time after the last trial in which all workers can learn that none is left.
FAREWELL_SECONDS = 5.0
# Only this machine can reach this address.
LOOPBACK = "127.0.0.1"
POLL_SECONDS = 0.5
# Time after the search for workers that have not noticed its end.
LEAVE_SECONDS = 15.0
CHIEF = "chief"
AGAIN = "run the same command again to continue"


def check_environment() -> None:
    """Raises a `ValueError` if only some of KerasTuner's variables are set."""
    given = {
        name: os.environ.get(name, "") for name in (ADDRESS_VARIABLE, PORT_VARIABLE, ID_VARIABLE)
    }
    if not given[ADDRESS_VARIABLE]:
        return
    missing = [name for name, value in given.items() if not value]
    if missing:
        raise ValueError(
            f"With {ADDRESS_VARIABLE} in the environment {' and '.join(missing)} must be there too"
        )
    if not given[PORT_VARIABLE].isascii() or not given[PORT_VARIABLE].isdigit():
        raise ValueError(
            f"{PORT_VARIABLE} in the environment must be a number. "
            f"Received: {shown(given[PORT_VARIABLE])}"
        )


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Suppresses what KerasTuner prints to standard output."""
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        yield


@contextlib.contextmanager
def answered(awaited: str, seconds: float) -> Iterator[None]:
    """Raises an error that says what a worker waited for if its chief does not answer.

    Raises:
        TimeoutError: Instead of an error of gRPC.
    """
    import grpc

    try:
        with quiet():
            yield
    except grpc.RpcError as error:
        where = f"{os.environ.get(ADDRESS_VARIABLE)}:{os.environ.get(PORT_VARIABLE)}"
        code = error.code().name if hasattr(error, "code") else type(error).__name__
        raise TimeoutError(
            f"{os.environ.get(ID_VARIABLE)} waited for {awaited} from the chief at {where}, "
            f"at most {seconds:g} s ({code}): is the chief running?"
        ) from None


def serve(
    oracle: LastingOracle, wait_seconds: float, refresh: Callable[[], None] | None = None
) -> None:
    """Hands the trials of a search to workers until all are done.

    Args:
        oracle: The search.
        wait_seconds: How long to wait for a sign of life: at first of any worker, later of each
            worker that has a trial. Workers send one every few seconds.
        refresh: Called every second, to show the progress.

    Raises:
        KeyboardInterrupt: If Ctrl-C was pressed.
        OSError: If the port cannot be opened.
        Stopped: If SIGTERM arrived or the time limit has passed.
        TimeoutError: If a worker does not answer; the message names the trial.
    """
    import grpc

    signs: dict[str, float] = {}

    def asked(trial_id: str) -> None:
        signs[""] = signs[trial_id] = time.monotonic()

    asked("")
    where = f"{os.environ[ADDRESS_VARIABLE]}:{os.environ[PORT_VARIABLE]}"
    # Otherwise a second chief could share the port, and each would receive half of the requests.
    options = [("grpc.so_reuseport", 0)]
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=1), options=options)
    servicer = add_servicer(server, oracle, asked)
    try:
        bound = server.add_insecure_port(where)
    except RuntimeError as error:
        raise OSError(f"the chief cannot listen at {where}: {error}") from None
    if not bound:
        raise OSError(f"the chief cannot listen at {where}")
    with quiet():
        server.start()
        try:
            shown = 0.0
            while not (servicer.stop_triggered and _is_over(oracle, signs[""])):
                stopping.check()
                _check_signs(oracle, signs, wait_seconds)
                if refresh is not None and time.monotonic() - shown > REFRESH_SECONDS:
                    refresh()
                    shown = time.monotonic()
                time.sleep(QUESTION_SECONDS)
        finally:
            server.stop(grace=1).wait()


def _is_over(oracle: LastingOracle, asked: float) -> bool:
    if oracle.ongoing_trials:
        return False
    return not oracle.tuner_ids or time.monotonic() - asked > FAREWELL_SECONDS


def _check_signs(oracle: LastingOracle, signs: dict[str, float], wait_seconds: float) -> None:
    """Raises an error if no worker, or a worker that has a trial, has been silent for too long."""
    now = time.monotonic()
    if now - signs[""] > wait_seconds and not oracle.ongoing_trials:
        raise TimeoutError(
            f"the chief waited {wait_seconds:g} s for a worker to ask for a trial; the search goes "
            "on when it is started again"
        )
    for worker, trial in list(oracle.ongoing_trials.items()):
        if now - signs.get(trial.trial_id, signs[""]) > wait_seconds:
            raise TimeoutError(
                f"the chief waited {wait_seconds:g} s for a sign of life of {worker}, which has "
                f"trial {trial.trial_id}; started again under its id, a worker takes its trial up, "
                "and the search continues when it is started again"
            )


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

    If this machine has GPUs, they are divided among the workers (see `gpus.divided`).

    A worker that dies is restarted with its id and continues its trial. If the chief is killed, all
    processes are started again, and the trials that were running run again. All of them end with
    this process, even if it is killed; if it is told to stop, it ends them.

    Args:
        command: Command that each process runs. Its environment holds its role, and its standard
            input is a pipe that closes when this process ends.
        count: Number of workers, at least 1.
        logs: Folder for their outputs.
        trials_ended: Function that returns how many trials have ended. It is called twice a second.
        died: Function that receives the id of a worker that died, before it is started again.
        say: Function that shows a line to the user.

    Raises:
        ChildProcessError: If the chief ends with an error, or a process dies repeatedly.
        KeyboardInterrupt: If Ctrl-C was pressed.
        Stopped: If SIGTERM arrived, here or in the chief, or the time limit has passed.
    """
    logs.mkdir(parents=True, exist_ok=True)
    port = _free_port()
    names = [f"worker{number}" for number in range(count)]
    processes: dict[str, subprocess.Popen] = {}
    # The chief trains nothing.
    changes = {CHIEF: gpus.without_gpu(), **dict(zip(names, gpus.divided(count), strict=True))}

    def start(name: str) -> None:
        environment = {
            **os.environ,
            **changes[name],
            ID_VARIABLE: name,
            ADDRESS_VARIABLE: LOOPBACK,
            PORT_VARIABLE: str(port),
            # Otherwise gRPC would ask a proxy.
            "no_proxy": ",".join(filter(None, [os.environ.get("no_proxy"), LOOPBACK])),
        }
        processes[name] = child_processes.start(command, environment, logs / f"{name}.log")
        where = "" if name == CHIEF else gpus.said(changes[name])
        say(f"{name} is process {processes[name].pid}{where}, its output in {logs / name}.log")

    deaths: Counter[str] = Counter()
    ended, over_at = 0, None
    try:
        for name in (CHIEF, *names):
            start(name)
        while True:
            time.sleep(POLL_SECONDS)
            stopping.check(f"after {counted(ended, 'trial')}")
            if (now_ended := trials_ended()) > ended:
                ended = now_ended
                deaths.clear()
            code = processes[CHIEF].poll()
            if code == stopping.STOPPED:
                raise stopping.stop(stopping.TERMINATE, f"after {counted(ended, 'trial')}")
            if code:
                deaths[CHIEF] += 1
                if code > 0 or deaths[CHIEF] > MOST_DEATHS:
                    how = how_it_ended(code, logs / f"{CHIEF}.log")
                    raise ChildProcessError(f"the chief ended {how}; {AGAIN}")
                say(f"the chief ended {how_it_ended(code)}: it and its workers are started again")
                child_processes.end(list(processes.values()))
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
                if code == 0:  # The chief said that no trial is left.
                    continue
                told = code == stopping.STOPPED  # Then its trial is not to blame.
                deaths[name] += not told
                # By then, DropTuner has given up the trial in which the worker dies.
                if deaths[name] > MOST_DEATHS + 1:
                    raise ChildProcessError(
                        f"{name} ended {deaths[name]} times while no trial was done, "
                        f"the last time {how_it_ended(code, logs / f'{name}.log')}; {AGAIN}"
                    )
                say(f"{name} ended {how_it_ended(code)}: it is started again under its id")
                if not told:
                    died(name)
                start(name)
    except (KeyboardInterrupt, stopping.Stopped):
        # They write the checkpoints of their trials.
        workers = [process for name, process in processes.items() if name != CHIEF]
        child_processes.stop(workers)
        raise
    finally:
        child_processes.end(list(processes.values()))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return probe.getsockname()[1]
