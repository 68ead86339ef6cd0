import itertools

import pytest

from keras_selectscale.benchmarking import step_table
from keras_selectscale.benchmarking.bench_options import BenchOptions

ABOUT = {"modes": None, "networks": ("resnet-8",), "precisions": ("float32",), "quick": True}


@pytest.fixture
def gives(monkeypatch):
    """Lets the processes of each side give these, one after the other."""
    asked = []

    def replace(*given):
        numbers = {
            side: itertools.cycle(given)
            for side in ("none", "keras-spatial-dropout", "selectscale")
        }

        def peak_memory(network, drop, **about):
            asked.append((network, drop, about["batch_size"], about["seed"]))
            number = next(numbers[drop])
            if isinstance(number, Exception):
                raise number
            peak, step = number
            return {"peak": peak, "before": 7, "step": step, "of": "resident set"}

        monkeypatch.setattr(step_table, "peak_memory", peak_memory)
        return asked

    return replace


def measured(rounds):
    options = BenchOptions(batch_size=4, rounds=rounds, seed=3, **ABOUT)
    return step_table.measure_memory(options, lambda line: None)


def test_the_memory_is_the_median_of_processes(gives):
    asked = gives((30, 1), (10, 3), (20, 2))
    found = measured(rounds=15)
    assert [each["side"] for each in found] == ["none", "keras-spatial-dropout", "selectscale"]
    for each in found:
        assert (each["peak"], each["before"], each["step"]) == (20, 7, 2)
        assert [process["peak"] for process in each["processes"]] == [30, 10, 20]
        assert each["of"] == "resident set" and each["failed"] == {}
    assert asked[:3] == [("resnet-8", "none", 4, 3)] * 3 and len(asked) == 9


def test_no_more_processes_than_rounds(gives):
    asked = gives((10, None))
    assert measured(rounds=1)[0]["step"] is None
    assert len(asked) == 3


def test_a_side_of_which_a_process_fails_says_so(gives):
    gives((10, 1), OSError("killed"))
    for each in measured(rounds=2):
        assert each["failed"] == {each["side"]: "killed"} and "peak" not in each
