"""Communication between the processes of a run on JAX, which all call these functions together."""

import contextlib
import time
from collections.abc import Iterator

import keras
import numpy as np

# How long the main process, which serves the others, waits for them to disconnect.
PARTING_SECONDS = 2.0


def is_several() -> bool:
    """Returns whether this process is one of several that train together."""
    if keras.backend.backend() != "jax":
        return False
    import jax

    return jax.process_count() > 1


def agree(value: int) -> int:
    """Returns the highest of the processes' values."""
    if not is_several():
        return value
    from jax.experimental import multihost_utils

    return int(multihost_utils.process_allgather(np.asarray(value, np.int32)).max())


def share(value: np.ndarray) -> np.ndarray:
    """Returns the main process's array; the others pass an array of the same shape and dtype."""
    if not is_several():
        return value
    from jax.experimental import multihost_utils

    return np.asarray(multihost_utils.broadcast_one_to_all(value))


def share_bytes(content: bytes | None) -> bytes | None:
    """Returns the main process's bytes, or `None` if it passes `None`."""
    size = int(share(np.asarray(-1 if content is None else len(content), np.int32)))
    if size < 0:
        return None
    given = np.frombuffer(content or b"", np.uint8)
    return share(given if len(given) == size else np.zeros(size, np.uint8)).tobytes()


def part() -> None:
    """Disconnects the processes, so that each one computes alone from here on."""
    if not is_several():
        return
    import jax
    from jax.experimental import multihost_utils

    multihost_utils.sync_global_devices("the last step")
    if jax.process_index() == 0:
        # JAX ends a process that disconnects from one that no longer exists.
        time.sleep(PARTING_SECONDS)
    jax.distributed.shutdown()


@contextlib.contextmanager
def lost_processes() -> Iterator[None]:
    """Turns JAX's error about a lost process into one line.

    Raises:
        ConnectionError: If the work inside the context failed for that reason.
    """
    if not is_several():
        yield
        return
    import jax

    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        raise ConnectionError(
            "another process of the run is gone: start all of them again, with the same commands, "
            f"to continue ({str(error).splitlines()[0]})"
        ) from None
