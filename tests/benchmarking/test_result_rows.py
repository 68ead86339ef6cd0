import pytest

from keras_selectscale.benchmarking import result_rows
from tests.benchmarking import times


def row_of(rows, **wanted):
    (row,) = [row for row in rows if all(row[name] == value for name, value in wanted.items())]
    return row


def test_ratios_of_the_layers():
    row = row_of(result_rows.layer_rows(times.layers()), side="selectscale")
    assert [entry["ratio"].median for entry in row["shapes"]] == [0.5, 2.0]
    assert row["ratio"] == pytest.approx(1.0) and row["worst"] == 2.0
    assert row["over_spatial_scale"] == pytest.approx(2.0)
    assert row["shapes"][0]["milliseconds"] == (3000.0, 4000.0, 5000.0)
    assert (row["mode"], row["precision"], row["data"]) == ("graph", "float32", "signed")


def test_the_roofline_of_the_layers():
    rows = result_rows.layer_rows(times.layers())
    row = row_of(rows, side="selectscale")
    # 256 elements of 4 bytes: one read for the score, two reads and two writes.
    first, second = row["shapes"]
    assert first["bytes"] == 5 * 256 * 4 and second["bytes"] == 5 * 128 * 4
    assert first["bytes_per_second"] == first["bytes"] / 4.0
    # A copy moves 2 tensors in a quarter of the time: 5 / 2 / 4.
    assert [entry["of_copy"].median for entry in row["shapes"]] == [0.625, 0.625]
    assert row["of_copy"] == pytest.approx(0.625)
    # The largest copy moves twice its 4,096 bytes in 3 seconds.
    assert first["of_memory"] == pytest.approx(5 * 256 * 4 / 4.0 / (2 * 4096 / 3.0))


def test_no_drop_has_no_roofline():
    row = row_of(result_rows.layer_rows(times.layers()), side="none")
    assert row["of_copy"] is None and row["of_memory"] is None
    assert row["shapes"][0]["bytes"] == 0


def test_a_side_that_failed_on_a_shape_leaves_the_others():
    layers = times.layers()
    del layers["cases"][0]["seconds"]["keras-spatial-dropout"]
    row = row_of(result_rows.layer_rows(layers), side="selectscale")
    assert row["ratio"] is None and row["worst"] == 2.0
    assert row["over_spatial_scale"] == pytest.approx(2.0)


def test_copies_that_failed_leave_no_share_of_the_memory():
    layers = times.layers()
    layers["copies"][0]["seconds"] = {}
    row = row_of(result_rows.layer_rows(layers), side="selectscale")
    assert row["of_memory"] is None and row["of_copy"] is not None


def test_steps():
    row = row_of(result_rows.step_rows(*times.steps()), side="selectscale")
    assert row["images_per_second"].median == 20.0
    assert row["over_none"] == (1.25, 1.5, 1.5)
    assert row["over_keras_spatial_dropout"].median == 0.6
    assert (row["peak_over_none"], row["peak_over_keras_spatial_dropout"]) == (1.5, 0.75)
    assert row["step_bytes"] == 70 << 20
    assert row["step_over_none"] == 3.5
    assert row["step_over_keras_spatial_dropout"] == pytest.approx(70 / 120)


def test_steps_without_memory():
    cases, memory = times.steps()
    memory[2] = {**memory[2], "failed": {"selectscale": "killed"}}
    del memory[2]["peak"]
    memory[2]["step"] = None
    for rows in (result_rows.step_rows(cases, []), result_rows.step_rows(cases, memory)):
        row = row_of(rows, side="selectscale")
        assert row["peak_bytes"] is None and row["peak_over_none"] is None
        assert row["step_bytes"] is None and row["step_over_none"] is None


def test_growth():
    rows = result_rows.growth_rows(times.growth())
    channels = row_of(rows, side="selectscale", varied="channels")
    assert channels["exponent"] == pytest.approx(1.0)
    assert channels["values"] == [16, 32, 64, 128]
    assert channels["bytes"] == [4 * 64 * 64 * value for value in (16, 32, 64, 128)]
    batch = row_of(rows, side="selectout", varied="batch")
    assert batch["exponent"] == pytest.approx(0.0, abs=1e-12)


def test_the_larger_half_of_the_sizes_has_an_exponent_of_its_own():
    cases = [case for case in times.growth() if case["varied"] == "channels"]
    cases[0]["seconds"]["selectscale"] = cases[1]["seconds"]["selectscale"]
    row = row_of(result_rows.growth_rows(cases), side="selectscale")
    assert row["exponent_of_larger_half"] == pytest.approx(1.0)
    assert row["exponent"] < 0.9
