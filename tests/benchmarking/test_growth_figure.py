import matplotlib.image
import pytest

from keras_selectscale.benchmarking import (
    BenchOptions,
    draw_growth,
    interleaved,
    result_rows,
    run_bench,
)
from tests.benchmarking import times


@pytest.mark.parametrize("backends", [["tensorflow"], ["tensorflow", "jax"]])
def test_it_has_a_row_for_each_backend(tmp_path, backends):
    result = {"device": "cpu", "rows": {"growth": result_rows.growth_rows(times.growth())}}
    path = tmp_path / "growth.png"
    draw_growth({backend: result for backend in backends}, path)
    height, width, _ = matplotlib.image.imread(path).shape
    assert width == 1560 and height == round(120 * (0.6 + 4.1 * len(backends)))
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "backends", [None, "x", {}, [1], {"a": 1}, {"a": {"rows": {"growth": []}}}]
)
def test_what_is_no_result_is_refused(tmp_path, backends):
    with pytest.raises(ValueError, match="Argument `backends` must be results of `run_bench`"):
        draw_growth(backends, tmp_path / "growth.png")


def test_objects_of_another_class_are_named():
    with pytest.raises(TypeError, match="Argument `progress` must be a rich.progress.Progress"):
        run_bench(BenchOptions(), "x")
    with pytest.raises(ValueError, match="Argument `sides` must be a mapping of one or more fun"):
        interleaved({"a": 1}, rounds=1, seconds=0.1)
