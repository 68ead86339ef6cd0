"""Times several functions, the sides of a measurement, in turns."""

import contextlib
import gc
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from keras_selectscale.benchmarking import backend_modes
from keras_selectscale.checks import as_integer, as_number, value_error
from keras_selectscale.object_checks import as_boolean

# The most calls of one measurement, however short a call is.
MOST_CALLS = 2**20


class SideError(RuntimeError):
    """A side of a measurement failed.

    Attributes:
        side: Name of the side.
        reason: What went wrong, in one line.
    """

    def __init__(self, side: str, reason: BaseException):
        lines = str(reason).strip().splitlines()
        self.side = side
        self.reason = f"{type(reason).__name__}: {lines[0] if lines else ''}".rstrip(": ")
        super().__init__(f"the side {side!r} failed: {self.reason}")


class Timings(NamedTuple):
    """The result of `interleaved`.

    Attributes:
        seconds: For each side, the seconds of one call in each round.
        calls: For each side, the number of calls that one measurement averages.
    """

    seconds: dict[str, list[float]]
    calls: dict[str, int]


def interleaved(
    sides: Mapping[str, Callable[[], Any]],
    *,
    rounds: int,
    seconds: float,
    wait: Callable[[Any], Any] = lambda result: None,
    wait_each: bool = False,
    clock: Callable[[], float] = time.perf_counter,
) -> Timings:
    """Times sides in turns, so that a machine that is slow for a while slows down all of them.

    Each side is warmed up. In each round, every side is measured once, in an order that changes
    from round to round. One measurement consists of as many calls as take at least `seconds`.
    Garbage is collected before each measurement and not during it: on PyTorch, Keras' layers leave
    reference cycles that hold whole tensors, and the next side would pay for new memory.

    Args:
        sides: Functions without arguments, by name.
        rounds: Measurements of each side, at least 1.
        seconds: Approximate minimum time of one measurement, well above the clock's resolution.
        wait: Called with the last result of a measurement; returns when the result is computed.
        wait_each: Whether to wait for every result, because two calls could overlap.
        clock: Returns the time in seconds.

    Returns:
        The `Timings`.

    Raises:
        SideError: If a side fails.
        ValueError: If there is no side, or an argument is out of range.
    """
    if not isinstance(sides, Mapping) or not sides or not all(map(callable, sides.values())):
        raise value_error("sides", "a mapping of one or more functions", sides)
    as_boolean("wait_each", wait_each)
    as_integer("rounds", rounds, 1)
    as_number("seconds", seconds, 0, above=True)

    def measure(name: str, calls: int) -> float:
        side = sides[name]
        try:
            started = clock()
            for _ in range(calls):
                result = side()
                if wait_each:
                    wait(result)
            wait(result)
            return clock() - started
        except Exception as error:
            raise SideError(name, error) from error

    names = list(sides)
    times: dict[str, list[float]] = {name: [] for name in names}
    with _no_garbage_collection():
        calls = {name: _enough_calls(measure, name, seconds) for name in names}
        for number in range(rounds):
            for name in order_of_round(names, number):
                gc.collect()
                times[name].append(measure(name, calls[name]) / calls[name])
    return Timings(times, calls)


def measure_case(
    sides: Mapping[str, Callable[[], Any]], *, rounds: int, seconds: float
) -> dict[str, Any]:
    """Times sides in turns on the active backend; a side that fails is recorded and left out.

    Args:
        sides: Functions without arguments, by name.
        rounds: Measurements of each.
        seconds: Time of one measurement.

    Returns:
        `seconds`, the time of a call of each side in each round; `calls`, the number of calls that
        each of these averages; and `failed`, the reason for each side that fails.
    """
    left = dict(sides)
    failed: dict[str, str] = {}
    while left:
        try:
            seconds_of, calls = interleaved(
                left,
                rounds=rounds,
                seconds=seconds,
                wait=backend_modes.wait,
                wait_each=backend_modes.waits_each_call(),
            )
            return {"seconds": seconds_of, "calls": calls, "failed": failed}
        except SideError as error:
            failed[error.side] = error.reason
            del left[error.side]
    return {"seconds": {}, "calls": {}, "failed": failed}


def order_of_round(names: Sequence[str], number: int) -> list[str]:
    """Returns the order of a round: it is rotated each time, and reversed after a cycle."""
    cycle, start = divmod(number, len(names))
    order = [*names[start:], *names[:start]]
    return order[::-1] if cycle % 2 else order


def _enough_calls(measure: Callable[[str, int], float], name: str, seconds: float) -> int:
    """Warms up a side and returns how many of its calls take `seconds`."""
    for _ in range(2):  # The first call compiles.
        measure(name, 1)
    calls = 1
    while (elapsed := measure(name, calls)) < seconds and calls < MOST_CALLS:
        # A short measurement is mostly noise, so the number grows by a factor of ten at most.
        wanted = math.ceil(1.1 * calls * seconds / elapsed) if elapsed > 0 else MOST_CALLS
        calls = min(max(wanted, calls + 1), 10 * calls, MOST_CALLS)
    return calls


@contextlib.contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Disables automatic garbage collection and ignores the objects that exist already."""
    enabled = gc.isenabled()
    gc.collect()
    gc.freeze()  # Otherwise every collection visits the objects of all libraries.
    gc.disable()
    try:
        yield
    finally:
        gc.unfreeze()
        if enabled:
            gc.enable()
