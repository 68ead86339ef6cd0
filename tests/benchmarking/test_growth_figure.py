import matplotlib.image
import pytest

from keras_selectscale.benchmarking import draw_growth, result_rows
from tests.benchmarking import times


@pytest.mark.parametrize("backends", [["tensorflow"], ["tensorflow", "jax"]])
def test_it_has_a_row_for_each_backend(tmp_path, backends):
    result = {"device": "cpu", "rows": {"growth": result_rows.growth_rows(times.growth())}}
    path = tmp_path / "growth.png"
    draw_growth({backend: result for backend in backends}, path)
    height, width, _ = matplotlib.image.imread(path).shape
    assert width == 1560 and height == round(120 * (0.6 + 4.1 * len(backends)))
    assert list(tmp_path.iterdir()) == [path]
