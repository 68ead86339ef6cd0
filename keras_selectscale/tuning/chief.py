"""KerasTuner's chief and its workers, with a limit to every wait."""

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from typing import Any

from keras_selectscale.tuning.lasting_oracle import LastingOracle

# What KerasTuner reads. It has no authentication: whoever reaches the port may end the search or
# feed it, so the address is 127.0.0.1 or one of a closed network.
ID_VARIABLE = "KERASTUNER_TUNER_ID"
ADDRESS_VARIABLE = "KERASTUNER_ORACLE_IP"
PORT_VARIABLE = "KERASTUNER_ORACLE_PORT"
POLL_SECONDS = 0.2
REFRESH_SECONDS = 1.0
# After the last trial, for workers that have not asked yet to learn that there is none.
FAREWELL_SECONDS = 5.0


def is_chief() -> bool:
    """Returns whether the environment makes this process KerasTuner's chief."""
    return bool(os.environ.get(ADDRESS_VARIABLE)) and "chief" in os.environ.get(ID_VARIABLE, "")


def is_worker() -> bool:
    """Returns whether the environment makes this process one of KerasTuner's workers."""
    return bool(os.environ.get(ADDRESS_VARIABLE)) and not is_chief()


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


def limit_waits(seconds: float) -> None:
    """Lets a worker wait so long for its chief, instead of KerasTuner's hour."""
    from keras_tuner.src.distribute import oracle_client

    oracle_client.TIMEOUT = seconds


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
    # The protocol's modules depend on the version of protobuf: nobody else should load them.
    import grpc
    from keras_tuner.src import protos
    from keras_tuner.src.distribute import oracle_chief

    class Servicer(oracle_chief.OracleServicer):
        """KerasTuner's, which notes when it was asked last, and by whom."""

        def __init__(self) -> None:
            super().__init__(oracle)
            self.asked = time.monotonic()
            self.signs: dict[str, float] = {}

        def CreateTrial(self, request: Any, context: Any) -> Any:
            response = super().CreateTrial(request, context)
            self._note(response.trial.trial_id)
            return response

        def UpdateTrial(self, request: Any, context: Any) -> Any:
            self._note(request.trial_id)
            return super().UpdateTrial(request, context)

        def GetTrial(self, request: Any, context: Any) -> Any:
            self._note(request.trial_id)
            return super().GetTrial(request, context)

        def EndTrial(self, request: Any, context: Any) -> Any:
            self._note(request.trial.trial_id)
            return super().EndTrial(request, context)

        def _note(self, trial_id: str) -> None:
            self.asked = self.signs[trial_id] = time.monotonic()

    where = f"{os.environ[ADDRESS_VARIABLE]}:{os.environ[PORT_VARIABLE]}"
    # Else a second chief could share the port, and half of the questions come to each.
    options = [("grpc.so_reuseport", 0)]
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=1), options=options)
    servicer = Servicer()
    protos.get_service_grpc().add_OracleServicer_to_server(servicer, server)
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
            while not _is_over(oracle, servicer):
                _check_signs(oracle, servicer, wait_seconds)
                if refresh is not None and time.monotonic() - shown > REFRESH_SECONDS:
                    refresh()
                    shown = time.monotonic()
                time.sleep(POLL_SECONDS)
        finally:
            server.stop(grace=1).wait()


def _is_over(oracle: LastingOracle, servicer: Any) -> bool:
    if not servicer.stop_triggered or oracle.ongoing_trials:
        return False
    waited = time.monotonic() - servicer.asked
    return not oracle.tuner_ids or waited > FAREWELL_SECONDS


def _check_signs(oracle: LastingOracle, servicer: Any, wait_seconds: float) -> None:
    now = time.monotonic()
    if now - servicer.asked > wait_seconds and not oracle.ongoing_trials:
        raise TimeoutError(
            f"the chief waited {wait_seconds:g} s for a worker to ask for a trial; the search goes "
            "on when it is started again"
        )
    for worker, trial in list(oracle.ongoing_trials.items()):
        if now - servicer.signs.get(trial.trial_id, servicer.asked) > wait_seconds:
            raise TimeoutError(
                f"the chief waited {wait_seconds:g} s for a sign of life of {worker}, which has "
                f"trial {trial.trial_id}; started again under its id, a worker takes its trial up, "
                "and the search goes on when it is started again"
            )
