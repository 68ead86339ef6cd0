import numpy as np
import pytest

from keras_selectscale import data
from keras_selectscale.data.augmentation import Augmentation

jax = pytest.importorskip("jax")

from keras_selectscale.data import device_batches  # noqa: E402


def windows(image, padding):
    """Returns every window of a padded image, plain and mirrored, with NumPy alone."""
    height, width, _ = image.shape
    padded = np.pad(image, ((padding, padding), (padding, padding), (0, 0)))
    for top in range(2 * padding + 1):
        for left in range(2 * padding + 1):
            window = padded[top : top + height, left : left + width]
            yield top, left, False, window
            yield top, left, True, window[:, ::-1]


@pytest.mark.parametrize(("padding", "flip"), [(0, False), (1, False), (2, True), (0, True)])
def test_every_image_is_one_of_its_windows(padding, flip):
    images = np.random.default_rng(0).integers(0, 256, (64, 5, 7, 3), dtype=np.uint8)
    out = np.asarray(device_batches.augment(images, Augmentation(padding, flip), 3, 11))
    assert out.shape == images.shape and out.dtype == np.uint8
    drawn = set()
    for image, result in zip(images, out, strict=True):
        found = [
            (top, left, mirrored)
            for top, left, mirrored, window in windows(image, padding)
            if np.array_equal(window, result)
        ]
        assert len(found) == 1
        drawn.update(found)
    assert {mirrored for *_, mirrored in drawn} == ({False, True} if flip else {False})
    for axis in (0, 1):
        assert {place[axis] for place in drawn} == set(range(2 * padding + 1))


def test_seed_and_step_decide_and_nothing_else():
    images = np.random.default_rng(0).integers(0, 256, (32, 6, 5, 1), dtype=np.uint8)
    augmentation = Augmentation(2, True)

    def drawn(seed, step):
        return np.asarray(device_batches.augment(images, augmentation, seed, step))

    assert np.array_equal(drawn(1, 5), drawn(1, 5))
    assert not np.array_equal(drawn(1, 5), drawn(1, 6))
    assert not np.array_equal(drawn(1, 5), drawn(2, 5))


def test_an_epoch_is_every_image_once_in_an_order_of_its_own():
    orders = [np.asarray(device_batches.epoch_order(100, 3, epoch)) for epoch in (0, 0, 1)]
    assert all(np.array_equal(np.sort(order), np.arange(100)) for order in orders)
    assert np.array_equal(orders[0], orders[1])
    assert not np.array_equal(orders[0], orders[2])
    assert not np.array_equal(orders[0], np.arange(100))


def test_a_batch_is_normalised_as_for_evaluation():
    images = data.load("digits")
    chosen = np.array([3, 0, 7])
    source = device_batches.on_device(images)
    pixels, labels = device_batches.make_batch(source, chosen, Augmentation(0, False), 1, 0)
    expected = (images.train_images[chosen] / 255 - images.mean) / images.std
    np.testing.assert_allclose(np.asarray(pixels), expected, rtol=1e-5, atol=1e-6)
    assert np.asarray(labels).tolist() == images.train_labels[chosen].tolist()


@pytest.mark.parametrize("split", ["test", "train"])
def test_it_gives_what_tf_data_gives(split):
    pytest.importorskip("tensorflow")
    images = data.load("digits", train_size=130, seed=1)
    ours = device_batches.EvaluationSequence(images, 50, split)
    theirs = list(data.evaluation_batches(images, batch_size=50, split=split))
    assert len(ours) == len(theirs) == -(-len(getattr(images, f"{split}_labels")) // 50)
    for number, (pixels, labels) in enumerate(theirs):
        own_pixels, own_labels = ours[number]
        np.testing.assert_allclose(own_pixels, pixels.numpy(), rtol=1e-6, atol=1e-6)
        assert own_pixels.dtype == np.float32
        assert own_labels.tolist() == labels.numpy().tolist()
