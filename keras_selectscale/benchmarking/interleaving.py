"""The timing core: sides that are measured in turns."""

import contextlib
import gc
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from keras_selectscale.benchmarking.side_error import SideError

# So many calls are one measurement at most, however short a call is.
MOST_CALLS = 2**20


class Timings(NamedTuple):
    """What `interleaved` measured.

    Attributes:
        seconds: For each side, the seconds of one call in each round.
        calls: For each side, how many calls one measurement is the mean of.
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
    """Times sides in turns, so that what slows the machine down for a while slows all of them.

    Each side is warmed up. In each round every side is measured once, in an order that changes
    from round to round. One measurement is as many calls as take at least `seconds`. Python's
    garbage is collected before each measurement and not within: Keras' layers leave cycles that
    hold whole tensors on PyTorch, and the next side would pay for new memory.

    Args:
        sides: Functions without arguments, by name.
        rounds: Measurements of each side, at least 1.
        seconds: Time of one measurement, at least about; it must be well above the clock's own
            steps.
        wait: Called with the last result of a measurement: it returns when the result is there.
        wait_each: Whether to wait for every result, where the work of two calls could overlap.
        clock: Gives the time in seconds.

    Returns:
        The `Timings`.

    Raises:
        SideError: Where a side fails.
        ValueError: Where there is no side, or an argument is out of its range.
    """
    if not sides:
        raise ValueError("Argument `sides` must hold a function. Received: sides={}")
    if rounds < 1:
        raise ValueError(f"Argument `rounds` must be at least 1. Received: rounds={rounds}")
    if seconds <= 0:
        raise ValueError(f"Argument `seconds` must be positive. Received: seconds={seconds}")

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


def order_of_round(names: Sequence[str], number: int) -> list[str]:
    """Returns the order of a round: it begins one further each time, and turns after a cycle."""
    cycle, start = divmod(number, len(names))
    order = [*names[start:], *names[:start]]
    return order[::-1] if cycle % 2 else order


def _enough_calls(measure: Callable[[str, int], float], name: str, seconds: float) -> int:
    """Warms a side up, and returns how many of its calls take `seconds`."""
    for _ in range(2):  # The first call compiles.
        measure(name, 1)
    calls = 1
    while (elapsed := measure(name, calls)) < seconds and calls < MOST_CALLS:
        # The reading of something short is mostly noise: no more than ten times as many at once.
        wanted = math.ceil(1.1 * calls * seconds / elapsed) if elapsed > 0 else MOST_CALLS
        calls = min(max(wanted, calls + 1), 10 * calls, MOST_CALLS)
    return calls


@contextlib.contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Keeps Python from collecting by itself; what is there already is not looked at either."""
    enabled = gc.isenabled()
    gc.collect()
    gc.freeze()  # Else a collection goes over all of the libraries.
    gc.disable()
    try:
        yield
    finally:
        gc.unfreeze()
        if enabled:
            gc.enable()
