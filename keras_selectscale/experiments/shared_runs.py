"""The runs of an experiment, divided among several processes of this machine."""

import os
import pathlib
import subprocess
import time
from collections.abc import Callable, Sequence

from keras_selectscale import child_processes, gpus, stopping
from keras_selectscale.experiments.cells import Cell
from keras_selectscale.wording import counted

POLL_SECONDS = 0.5


def share_runs(
    cells: Sequence[Cell],
    workers: int,
    command: Callable[[Cell], Sequence[str]],
    logs: pathlib.Path,
    say: Callable[[str], None],
) -> None:
    """Trains the unfinished runs, each in its own process, several at a time.

    The GPUs of this machine are divided among the processes (see `gpus.divided`).

    Args:
        cells: The runs, whose folders are opened.
        workers: Number of processes at a time.
        command: Function that returns the command that trains one run.
        logs: Folder for the outputs of the processes.
        say: Function that shows a line to the user.

    Raises:
        ChildProcessError: If a process ends with an error, or without a result.
        KeyboardInterrupt: If Ctrl-C was pressed.
        Stopped: If SIGTERM arrived or the time limit has passed; the processes write checkpoints.
    """
    waiting = [cell for cell in cells if cell.run.read_result() is None]
    ended, total = len(cells) - len(waiting), counted(len(cells), "run")
    changes = gpus.divided(workers)
    running: dict[int, tuple[Cell, subprocess.Popen, pathlib.Path]] = {}
    logs.mkdir(parents=True, exist_ok=True)
    try:
        while waiting or running:
            stopping.check(f"after {ended} of {total}")
            for worker in range(workers):
                if worker not in running and waiting:
                    cell = waiting.pop(0)
                    log = logs / f"{cell.run.path.parent.name}-{cell.run.path.name}.log"
                    own = dict(os.environ) | changes[worker]
                    process = child_processes.start(command(cell), own, log)
                    running[worker] = cell, process, log
                    say(
                        f"{cell.title}, seed {cell.recipe.seed}: process {process.pid}"
                        f"{gpus.said(changes[worker])}, its output in {log}"
                    )
            time.sleep(POLL_SECONDS)
            for worker, (cell, process, log) in list(running.items()):
                if (code := process.poll()) is None:
                    continue
                del running[worker]
                child_processes.end([process])
                title = f"{cell.title}, seed {cell.recipe.seed}"
                if code == stopping.STOPPED:
                    raise stopping.stop(stopping.TERMINATE, f"after {ended} of {total}")
                result = cell.run.read_result()
                if code or result is None:
                    raise ChildProcessError(
                        f"the process of {title} ended {child_processes.how_it_ended(code, log)}; "
                        "run the same command again to continue"
                    )
                ended += 1
                say(f"{ended}/{len(cells)}  {title}: test error {result['test_error']:.2f}%")
    finally:
        processes = [process for _, process, _ in running.values()]
        child_processes.stop(processes)
        child_processes.end(processes)
