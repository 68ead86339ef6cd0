import numpy as np
import pytest

from keras_selectscale.data import arrays
from keras_selectscale.data.arrays import aligned_empty, host_tensors, mean_and_std, resized


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("chunk", [1, 4, 100])
def test_equals_numpy_over_all_pixels_of_a_channel(monkeypatch, dtype, chunk):
    monkeypatch.setattr(arrays, "STATISTICS_CHUNK", chunk)
    images = np.random.default_rng(0).integers(0, 256, (10, 7, 6, 3)).astype(dtype)
    images[..., 1] //= 3
    mean, std = mean_and_std(images)
    pixels = images.reshape(-1, 3).astype("float64") / 255
    np.testing.assert_allclose(mean, pixels.mean(0), rtol=1e-12)
    np.testing.assert_allclose(std, pixels.std(0), rtol=1e-12)
    assert all(type(value) is float for value in mean + std)


def test_keeps_precision_where_the_spread_is_small():
    images = np.full((50, 32, 32, 1), 254, "uint8")
    images[0, 0, 0] = 255
    share = 1 / images.size
    _, std = mean_and_std(images)
    assert std[0] == pytest.approx(np.sqrt(share * (1 - share)) / 255, rel=1e-9)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("shape", [(19, 9, 5, 3), (43, 8, 9, 1), (8, 2, 2, 2)])
@pytest.mark.parametrize(("rows", "chunks"), [(129, 2), (1, 16), (10**6, 3)])
def test_statistics_are_those_of_one_numpy_sum_per_chunk(monkeypatch, dtype, shape, rows, chunks):
    """Old runs depend on the last bit of the standard deviation."""
    images = np.random.default_rng(1).integers(0, 256, shape).astype(dtype)
    monkeypatch.setattr(arrays, "STATISTICS_CHUNK", len(images) if shape[-1] == 1 else 4)
    monkeypatch.setattr(arrays, "STATISTICS_ROWS", max(rows, 128) if shape[-1] == 1 else rows)
    monkeypatch.setattr(arrays, "STATISTICS_CHUNKS", chunks)
    each = [images] if shape[-1] == 1 else [images[at : at + 4] for at in range(0, len(images), 4)]
    pixels = images[..., 0].size
    mean = sum(chunk.sum((0, 1, 2), dtype="float64") for chunk in each) / pixels
    squares = sum(np.square(chunk - mean).sum((0, 1, 2)) for chunk in each)
    expected = (mean / 255).tolist(), (np.sqrt(squares / pixels) / 255).tolist()
    assert [list(found) for found in mean_and_std(images)] == list(expected)


def test_resizing_does_not_depend_on_the_chunk(monkeypatch):
    images = np.random.default_rng(2).integers(0, 256, (9, 6, 8, 3)).astype("uint8")
    whole = resized(images, 5)
    monkeypatch.setattr(arrays, "RESIZED_BYTES", 1)
    np.testing.assert_array_equal(resized(images, 5), whole)


@pytest.mark.parametrize("dtype", ["uint8", "int64", "float32", "float64"])
def test_an_aligned_array_is_shared_with_tensorflow(dtype):
    array = aligned_empty((5, 3), dtype)
    array[:] = np.arange(15).reshape(5, 3)
    (tensor,) = host_tensors(array)
    array[0, 0] = 9
    assert int(tensor[0, 0]) == 9 and "CPU" in tensor.device
    expected = array.copy()
    del array
    np.testing.assert_array_equal(tensor, expected)


@pytest.mark.parametrize(
    "change",
    [
        lambda array: array[1:],
        lambda array: array[:, ::2],
        lambda array: array.T,
        lambda array: np.frombuffer(array.tobytes(), array.dtype).reshape(array.shape),
    ],
)
def test_any_other_array_is_copied_and_can_be_computed_with(change):
    """TensorFlow ends the process if it computes on memory that is not aligned."""
    import tensorflow as tf

    array = aligned_empty((6, 7), "uint8")
    array[:] = np.arange(42).reshape(6, 7)
    changed = change(array)
    (tensor,) = host_tensors(changed)
    expected = changed.copy()
    array[:] = 0
    np.testing.assert_array_equal(tf.gather(tensor[1:], [1, 0]), expected[[2, 1]])
    np.testing.assert_array_equal(tf.cast(tensor, "float32") + 1, expected + 1.0)


def test_images_that_are_larger_than_the_memory_are_refused_before_they_are_resized():
    images = np.zeros((1, 8, 8, 1), "uint8")
    with pytest.raises(ValueError, match=r"`image_size` .* GiB, .* image_size=20000000"):
        arrays.resized(images, 20_000_000)
