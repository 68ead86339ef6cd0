"""What `batches.augment` does, read back from its output."""

import itertools

import numpy as np
import pytest

from keras_selectscale.data import Augmentation, training_batches
from keras_selectscale.data.batches import augment
from tests.data.made_up import image_data, normalised


def crop(images, row, column, flip, padding):
    """Returns the same window of each padded image, mirrored or not."""
    height, width = images.shape[1:3]
    border = (padding, padding)
    padded = np.pad(images, ((0, 0), border, border, (0, 0)))
    windows = padded[:, row : row + height, column : column + width]
    return windows[:, :, ::-1] if flip else windows


def draws(images, outputs, padding, matches=np.equal):
    """Returns (row, column, flip) of each output; exactly one must explain it."""
    places = range(2 * padding + 1)
    outcomes = np.array(list(itertools.product(places, places, (0, 1))))
    fits = [matches(outputs, crop(images, *outcome, padding)) for outcome in outcomes]
    fits = np.all(fits, axis=(2, 3, 4))
    np.testing.assert_array_equal(fits.sum(0), 1)
    return outcomes[fits.argmax(0)]


def drawn(images, augmentation, seed=0, step=0):
    outputs = augment(images, augmentation, seed, step).numpy()
    assert outputs.dtype == images.dtype and outputs.shape == images.shape
    return draws(images, outputs, augmentation.padding)


@pytest.mark.parametrize("padding", [0, 1, 4])
@pytest.mark.parametrize("flip", [True, False])
def test_every_output_is_a_window_of_its_own_padded_image(padding, flip):
    images = image_data(60, shape=(6, 5, 2)).train_images
    found = drawn(images, Augmentation(padding, flip))
    rows, columns, flips = found.T
    assert set(flips) == ({0, 1} if flip else {0})
    assert rows.max() == columns.max() == 2 * padding
    assert rows.min() == columns.min() == 0


def test_nothing_to_do_gives_the_images():
    images = image_data().train_images
    np.testing.assert_array_equal(augment(images, Augmentation(0, False), 0, 0), images)


def test_all_windows_are_as_likely_and_flips_independent():
    """Chi-square over 18 joint outcomes: a right draw fails for one seed in a million."""
    images = image_data(900, shape=(4, 3, 1)).train_images
    counts = np.zeros((3, 3, 2))
    for step in range(10):
        np.add.at(counts, tuple(drawn(images, Augmentation(1, True), seed=5, step=step).T), 1)
    expected = counts.sum() / counts.size
    statistic = np.square(counts - expected).sum() / expected
    assert statistic < 62.1  # The 1 - 1e-6 quantile for 17 degrees of freedom is 62.0.


def test_neighbours_in_a_batch_and_in_time_are_independent():
    """Chi-square over 4 joint flips each: a right draw fails for one seed in half a million."""
    images = image_data(900, shape=(4, 3, 1)).train_images
    flips = np.array(
        [drawn(images, Augmentation(1, True), seed=5, step=step)[:, 2] for step in range(10)]
    )
    for first, second in ((flips[:, :-1], flips[:, 1:]), (flips[:-1], flips[1:])):
        counts = np.bincount((2 * first + second).ravel(), minlength=4)
        expected = counts.sum() / 4
        assert np.square(counts - expected).sum() / expected < 30.7  # 3 degrees of freedom.


def test_seeds_and_steps_differ_and_repeat():
    images = image_data(60).train_images
    pairs = [(0, 0), (0, 1), (1, 0), (1, 1), (2**62, 0), (0, 2**40)]
    found = [drawn(images, Augmentation(4, True), *pair).tobytes() for pair in pairs]
    assert len(set(found)) == len(pairs)
    assert drawn(images, Augmentation(4, True), 1, 0).tobytes() == found[2]


def test_the_border_is_a_pixel_of_value_0_normalised():
    data = image_data(40, padding=3, flip=True)
    seen = 0
    for images, labels in training_batches(data, batch_size=8, seed=1).take(10):
        black = normalised(np.zeros(2), data)
        at_border = np.isclose(images, black, rtol=0, atol=1e-6)
        # The pixels of the images themselves are at least 1.
        np.testing.assert_array_equal(at_border[..., 0], at_border[..., 1])
        seen += at_border[..., 0].sum()
        draws(
            data.train_images[labels.numpy()],
            images.numpy(),
            3,
            lambda outputs, windows: np.isclose(outputs, normalised(windows, data), atol=1e-5),
        )
    assert seen > 0


def test_augmentation_differs_from_epoch_to_epoch():
    data = image_data(8, padding=4, flip=True)
    epochs = [
        images.numpy()[np.argsort(labels)]
        for images, labels in training_batches(data, batch_size=8, seed=1).take(6)
    ]
    for one in range(6):
        for other in range(one):
            assert not np.array_equal(epochs[one], epochs[other])
