import json

import keras
import pytest

from keras_selectscale.benchmarking import BenchOptions, growth, layer_table, run_bench
from keras_selectscale.benchmarking.backend_modes import modes
from keras_selectscale.benchmarking.bench_options import QUICK

TINY = QUICK | {"shapes": ((2, 4, 4, 8),), "rounds": 2, "seconds": 1e-6}


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(layer_table, "QUICK_COPY_BYTES", (2**10, 2**12))
    values = {"channels": (2, 4), "batch": (1, 2), "resolution": (2, 4)}
    monkeypatch.setattr(growth, "QUICK_VALUES", values)


def test_layers_hold_every_raw_time():
    options = BenchOptions(**TINY | {"sections": ("layers",), "methods": ("selectscale",)})
    result = json.loads(json.dumps(run_bench(options)))
    assert result["failed"] == []
    assert result["environment"]["backend"] == keras.backend.backend()
    cases = result["layers"]["cases"]
    assert [(c["mode"], c["data"]) for c in cases] == [
        (mode, data) for mode in modes() for data in ("signed", "non-negative")
    ]
    for case in cases:
        assert set(case["seconds"]) == {"none", "keras-spatial-dropout", "selectscale", "copy"}
        assert all(len(times) == 2 for times in case["seconds"].values())
    rows = [row for row in result["rows"]["layers"] if row["side"] == "selectscale"]
    assert len(rows) == len(cases)
    for row, case in zip(rows, cases, strict=True):
        pairs = zip(
            case["seconds"]["selectscale"], case["seconds"]["keras-spatial-dropout"], strict=True
        )
        assert row["ratio"] == pytest.approx(sum(a / b for a, b in pairs) / 2)
    assert [set(copy["seconds"]) for copy in result["layers"]["copies"]] == [
        {"1024", "4096"} for _ in modes()
    ]


@pytest.mark.slow
def test_growth_goes_over_every_size():
    result = run_bench(BenchOptions(**TINY | {"sections": ("growth",)}))
    assert result["failed"] == []
    shapes = [case["shape"] for case in result["growth"]]
    assert shapes[:2] == [[64, 8, 8, 2], [64, 8, 8, 4]]
    assert shapes[2:] == [[1, 16, 16, 64], [2, 16, 16, 64], [32, 2, 2, 64], [32, 4, 4, 64]]
    assert len(result["rows"]["growth"]) == 4 * 3


@pytest.mark.slow
def test_a_side_that_fails_is_named_with_its_case(monkeypatch):
    def broken(mode, x):
        return lambda: 1 // 0

    monkeypatch.setattr(layer_table, "copy_work", broken)
    options = BenchOptions(**TINY | {"sections": ("layers",), "methods": ("spatial-scale",)})
    result = run_bench(options)
    assert f"copy ({modes()[0]}, float32, signed, 2x4x4x8): ZeroDivisionError" in " ".join(
        result["failed"]
    )
    assert all(row["of_copy"] is None for row in result["rows"]["layers"])
    assert all(row["ratio"] > 0 for row in result["rows"]["layers"] if row["side"] != "none")
