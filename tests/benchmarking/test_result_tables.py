import json

from keras_selectscale.benchmarking import BenchOptions, result_rows, result_tables
from keras_selectscale.benchmarking.bench_options import QUICK
from tests.benchmarking import times


def results():
    rows = {
        "layers": result_rows.layer_rows(times.layers()),
        "steps": result_rows.step_rows(*times.steps()),
        "growth": result_rows.growth_rows(times.growth()),
    }
    # As another process hands them over.
    return {"tensorflow": json.loads(json.dumps({"device": "cpu", "rows": rows}))}


def test_the_summary():
    layers, steps, growth = result_tables.summary_tables(results())
    assert layers.title == "Layers, tensorflow graph, float32, cpu"
    assert layers.heads == ("layer", "signed", "worst", "of copy")
    assert ("SelectScale", "1.00", "2.00", "62%") in layers.rows
    assert steps.title == "Training step, resnet-8, tensorflow graph, float32, cpu"
    assert steps.rows[2] == (
        "SelectScale",
        "20",
        "1.50 [1.25, 1.50]",
        "0.60 [0.55, 0.68]",
        "70 (0.58)",
        "150 (0.75)",
    )
    assert growth.heads[1:] == ("channels", "batch")
    assert growth.rows[0] == ("SelectScale", "1.00 (1.00)", "0.00 (0.00)")


def test_the_details_as_markdown():
    (table,) = result_tables.detailed_tables(results())
    text = result_tables.as_markdown(table)
    lines = text.splitlines()
    assert lines[0] == "### tensorflow graph, float32, signed input, cpu"
    assert lines[3] == "| --- | ---: | ---: | ---: | ---: | ---: |"
    cells = "4000.000 [3000.000, 5000.000] | 0.50 [0.50, 0.50] | 0.0 | 62% | 47%"
    assert f"| SelectScale 2x4x4x8 | {cells} |" in lines
    assert len(lines) == 4 + 4 * 2


def test_it_says_that_it_is_quick():
    assert "Quick" in result_tables.heading(BenchOptions(**QUICK))
    assert "Quick" not in result_tables.heading(BenchOptions())
