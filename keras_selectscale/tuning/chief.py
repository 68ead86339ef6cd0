"""KerasTuner's chief and its workers, with a limit to every wait."""

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from concurrent import futures

from keras_selectscale.tuning.kerastuner import (
    ADDRESS_VARIABLE,
    ID_VARIABLE,
    PORT_VARIABLE,
    LastingOracle,
    add_servicer,
    is_chief,
    is_worker,
    limit_waits,
)

__all__ = [
    "answered",
    "check_environment",
    "is_chief",
    "is_worker",
    "limit_waits",
    "quiet",
    "serve",
]
POLL_SECONDS = 0.2
REFRESH_SECONDS = 1.0
# After the last trial, for workers that have not asked yet to learn that there is none.
FAREWELL_SECONDS = 5.0


def check_environment() -> None:
    """Raises a `ValueError` where KerasTuner's variables say a part of what they must."""
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
            f"Received: {given[PORT_VARIABLE]!r}"
        )


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Holds back what KerasTuner prints of itself on standard output."""
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        yield


@contextlib.contextmanager
def answered(awaited: str, seconds: float) -> Iterator[None]:
    """Says what a worker waited for where its chief does not answer.

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
        wait_seconds: How long to wait for a sign of life, of any worker at first and of each one
            that has a trial later on. Workers give one every few seconds.
        refresh: Called every second, to show how far it is.

    Raises:
        OSError: Where the port cannot be had.
        TimeoutError: Where a worker gives no sign; it says whose trial is waited for.
    """
    import grpc

    signs: dict[str, float] = {}

    def asked(trial_id: str) -> None:
        signs[""] = signs[trial_id] = time.monotonic()

    asked("")
    where = f"{os.environ[ADDRESS_VARIABLE]}:{os.environ[PORT_VARIABLE]}"
    # Else a second chief could share the port, and half of the questions come to each.
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
                _check_signs(oracle, signs, wait_seconds)
                if refresh is not None and time.monotonic() - shown > REFRESH_SECONDS:
                    refresh()
                    shown = time.monotonic()
                time.sleep(POLL_SECONDS)
        finally:
            server.stop(grace=1).wait()


def _is_over(oracle: LastingOracle, asked: float) -> bool:
    if oracle.ongoing_trials:
        return False
    return not oracle.tuner_ids or time.monotonic() - asked > FAREWELL_SECONDS


def _check_signs(oracle: LastingOracle, signs: dict[str, float], wait_seconds: float) -> None:
    """Raises an error if nobody has asked, or a worker with a trial not about it, for too long."""
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
                "and the search goes on when it is started again"
            )
