import numpy as np
import pytest
from keras import ops

from keras_selectscale import linear_curriculum
from keras_selectscale.layers import DropPath
from tests.layers import statistics


@pytest.mark.parametrize(
    "shape", [(64, 5), (64, 4, 3), (64, 2, 3, 4), (64, 1, 2, 1, 2, 3)], ids=len
)
def test_a_sample_is_kept_or_dropped_as_a_whole(shape, data_format):
    x = np.random.default_rng(1).normal(size=shape).astype("float32")
    y = ops.convert_to_numpy(
        DropPath(retaining_rate=0.8, seed=1, data_format=data_format)(x, training=True)
    )
    dropped = (y == 0).reshape(64, -1)
    assert np.all(dropped.all(axis=1) == dropped.any(axis=1))
    kept = ~dropped[:, 0]
    assert 0 < kept.sum() < 64
    np.testing.assert_allclose(y[kept], x[kept] / 0.8, rtol=1e-6)


def test_a_sample_is_kept_with_the_retaining_rate():
    y = ops.convert_to_numpy(
        DropPath(retaining_rate=0.7, seed=2)(np.ones((20_000, 1), "float32"), training=True)
    )
    statistics.check_share(y != 0, 0.7)
    statistics.check_uncorrelated(y[1:], y[:-1])


def test_inference_and_rate_one_return_the_input():
    x = ops.ones((2, 3))
    assert DropPath(retaining_rate=0.5)(x) is x
    np.testing.assert_array_equal(DropPath(retaining_rate=1.0)(x, training=True), x)


def test_a_scheduled_rate_falls():
    layer = DropPath(retaining_rate=linear_curriculum(0.25, 1), seed=1)
    x = np.ones((50, 2), "float32")
    first, second = (ops.convert_to_numpy(layer(x, training=True)) for _ in range(2))
    np.testing.assert_array_equal(first, x)
    assert set(np.unique(second)) == {0.0, 4.0}


def test_a_vector_is_refused():
    with pytest.raises(ValueError, match="DropPath expects `inputs` of rank 2 or higher.*rank 1"):
        DropPath(retaining_rate=0.5)(np.ones(3, "float32"))
