import gc

import pytest

from keras_selectscale.benchmarking import SideError, interleaved
from keras_selectscale.benchmarking.interleaving import MOST_CALLS, order_of_round


class Clock:
    """A clock that stands still until a side moves it."""

    def __init__(self):
        self.now = 0.0
        self.log = []

    def __call__(self):
        return self.now

    def side(self, name, seconds):
        def call():
            self.now += seconds
            self.log.append(name)
            return name

        return call


def test_each_side_has_the_seconds_of_a_call_in_each_round():
    clock = Clock()
    sides = {"slow": clock.side("slow", 0.5), "fast": clock.side("fast", 0.125)}
    times, calls = interleaved(sides, rounds=3, seconds=0.25, clock=clock)
    assert times == {"slow": [0.5] * 3, "fast": [0.125] * 3}
    # 0.25 s of 0.125 s are 2 calls, and a tenth more is 3.
    assert calls == {"slow": 1, "fast": 3}


def test_every_side_runs_once_in_each_round_in_changing_order():
    clock = Clock()
    sides = {name: clock.side(name, 1.0) for name in "abc"}
    interleaved(sides, rounds=7, seconds=0.5, clock=clock)
    warm_up, rounds = clock.log[:9], clock.log[9:]
    assert warm_up == list("aaabbbccc")
    chunks = ["".join(rounds[start : start + 3]) for start in range(0, 21, 3)]
    assert chunks == ["abc", "bca", "cab", "cba", "acb", "bac", "abc"]


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_a_side_is_as_often_at_each_place(count):
    names = [str(number) for number in range(count)]
    orders = [order_of_round(names, number) for number in range(2 * count)]
    for place in range(count):
        assert sorted(order[place] for order in orders) == sorted(2 * names)


def test_a_short_side_is_called_until_the_time_is_well_above_the_clock():
    clock = Clock()
    _, calls = interleaved({"a": clock.side("a", 2.0**-20)}, rounds=1, seconds=0.25, clock=clock)
    assert 0.25 <= calls["a"] * 2.0**-20 <= 0.3


def test_a_side_that_takes_no_time_ends_too():
    _, calls = interleaved({"a": lambda: None}, rounds=1, seconds=1.0, clock=lambda: 0.0)
    assert calls == {"a": MOST_CALLS}


@pytest.mark.parametrize("wait_each", [False, True])
def test_the_wait_is_within_the_time(wait_each):
    clock, waited = Clock(), []

    def wait(result):
        waited.append(result)
        clock.now += 0.125

    # Two calls a measurement of the fast side, one of the other.
    sides = {"fast": clock.side("fast", 0.25), "slow": clock.side("slow", 2.0)}
    times, calls = interleaved(
        sides, rounds=2, seconds=0.6, wait=wait, wait_each=wait_each, clock=clock
    )
    assert calls == {"fast": 2, "slow": 1}
    waits = {name: calls[name] * wait_each + 1 for name in calls}
    assert times["fast"] == [(2 * 0.25 + waits["fast"] * 0.125) / 2] * 2
    assert times["slow"] == [2.0 + waits["slow"] * 0.125] * 2
    assert waited[-waits["fast"] :] == ["fast"] * waits["fast"]


def test_a_side_that_fails_names_itself():
    def broken():
        raise ZeroDivisionError("no such\nthing")

    with pytest.raises(SideError, match="'broken'.*ZeroDivisionError: no such$") as caught:
        interleaved({"a": lambda: None, "broken": broken}, rounds=1, seconds=1e-9)
    assert caught.value.side == "broken"
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


@pytest.mark.parametrize("enabled", [True, False])
def test_python_collects_nothing_within_a_round_and_as_before_after_it(enabled):
    seen = []
    try:
        gc.enable() if enabled else gc.disable()
        interleaved({"a": lambda: seen.append(gc.isenabled())}, rounds=2, seconds=1e-9)
        assert set(seen) == {False} and gc.isenabled() == enabled
        assert gc.get_freeze_count() == 0
    finally:
        gc.enable()


def test_what_a_side_leaves_behind_is_gone_before_the_next():
    class Left:
        pass

    alive = []

    def side():
        alive.append(sum(isinstance(each, Left) for each in gc.get_objects()))
        left = Left()
        left.itself = left  # A cycle: counting references does not free it.

    interleaved({"a": side, "b": side}, rounds=3, seconds=1e-9)
    assert set(alive[-6:]) == {0}


@pytest.mark.parametrize(
    "sides, rounds, seconds, word",
    [({}, 1, 1.0, "sides"), ({"a": int}, 0, 1.0, "rounds"), ({"a": int}, 1, 0.0, "seconds")],
)
def test_bad_arguments_are_named(sides, rounds, seconds, word):
    with pytest.raises(ValueError, match=f"`{word}`"):
        interleaved(sides, rounds=rounds, seconds=seconds)
