"""Writing a checkpoint in a thread while the training goes on."""

import concurrent.futures
import contextlib
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

import keras


class Snapshot:
    """A copy of the values of all variables of a model, which another thread can read.

    On TensorFlow a copy costs nothing until a step changes the variable. On JAX and on a GPU, the
    device makes it after the steps that it was given before, and the host does not wait.

    Args:
        model: A compiled model with a built optimizer. On JAX, its variables have the current
            values.
    """

    def __init__(self, model: keras.Model):
        copy = COPIES[keras.backend.backend()]
        variables = [*model.variables, *model.optimizer.variables, *model.metrics_variables]
        unique = {id(variable): variable for variable in variables}
        self._values = [(variable, copy(variable.value)) for variable in unique.values()]

    @contextlib.contextmanager
    def values(self) -> Iterator[None]:
        """Makes the variables of the model have the copied values, in the current thread only."""
        with keras.StatelessScope(self._values, initialize_variables=False):
            yield


# For each backend, a function that returns a copy of a variable's value.
COPIES: dict[str, Callable[[Any], Any]] = {
    # TensorFlow copies the memory when a step writes to it, if a tensor still has it.
    "tensorflow": lambda variable: variable.read_value(),
    # The next step donates the array, and so deletes it.
    "jax": lambda array: array.copy(),
    "torch": lambda tensor: tensor.detach().clone(),
}


class BackgroundWriter:
    """A thread that does one piece of work after the other, at most one at a time.

    Use it as a context, whose end waits for the work.
    """

    def __init__(self) -> None:
        self._executor: concurrent.futures.ThreadPoolExecutor | None = None
        self._work: concurrent.futures.Future | None = None

    def __enter__(self) -> "BackgroundWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType
    ) -> None:
        """Waits for the work. Its error is not raised if another one is on its way."""
        try:
            self.join()
        except Exception:
            if error is None:
                raise
        finally:
            if self._executor is not None:
                self._executor.shutdown()

    @property
    def is_busy(self) -> bool:
        """Whether the work is not yet done."""
        return self._work is not None and not self._work.done()

    def start(self, work: Callable[[], Any]) -> None:
        """Starts work, after the work before it has ended.

        Raises:
            Exception: If the work before it failed, its error.
        """
        self.join()
        if self._executor is None:
            self._executor = concurrent.futures.ThreadPoolExecutor(1, "checkpoint")
        self._work = self._executor.submit(work)

    def check(self) -> None:
        """Raises the error of the work if it has failed. Does not wait."""
        if self._work is not None and self._work.done():
            self.join()

    def join(self) -> None:
        """Waits for the work, and raises its error if it failed."""
        work, self._work = self._work, None
        if work is not None:
            work.result()
