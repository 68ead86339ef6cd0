import numpy as np
import pytest

from keras_selectscale.data import pixel_statistics


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("chunk", [1, 4, 100])
def test_equals_numpy_over_all_pixels_of_a_channel(monkeypatch, dtype, chunk):
    monkeypatch.setattr(pixel_statistics, "CHUNK", chunk)
    images = np.random.default_rng(0).integers(0, 256, (10, 7, 6, 3)).astype(dtype)
    images[..., 1] //= 3
    mean, std = pixel_statistics.mean_and_std(images)
    pixels = images.reshape(-1, 3).astype("float64") / 255
    np.testing.assert_allclose(mean, pixels.mean(0), rtol=1e-12)
    np.testing.assert_allclose(std, pixels.std(0), rtol=1e-12)
    assert all(type(value) is float for value in mean + std)


def test_keeps_precision_where_the_spread_is_small():
    images = np.full((50, 32, 32, 1), 254, "uint8")
    images[0, 0, 0] = 255
    share = 1 / images.size
    _, std = pixel_statistics.mean_and_std(images)
    assert std[0] == pytest.approx(np.sqrt(share * (1 - share)) / 255, rel=1e-9)
