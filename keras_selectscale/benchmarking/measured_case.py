"""One measurement of several sides, as it is recorded."""

from collections.abc import Callable, Mapping
from typing import Any

from keras_selectscale.benchmarking import backend_modes
from keras_selectscale.benchmarking.interleaving import interleaved
from keras_selectscale.benchmarking.side_error import SideError


def measure_case(
    sides: Mapping[str, Callable[[], Any]], *, rounds: int, seconds: float
) -> dict[str, Any]:
    """Times sides in turns on the active backend; one that fails is left out and recorded.

    Args:
        sides: Functions without arguments, by name.
        rounds: Measurements of each.
        seconds: Time of one measurement.

    Returns:
        `seconds`: the time of a call of each side in each round; `calls`: how many calls each of
        these is the mean of; `failed`: the reason for each side that fails.
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
