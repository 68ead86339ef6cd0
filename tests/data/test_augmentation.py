"""What augmentation does, read back from its output."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
import tensorflow as tf

from keras_selectscale.data import Augmentation, InceptionAugmentation, training_batches
from keras_selectscale.data.augmentation import EIGENVALUES, EIGENVECTORS, augment
from keras_selectscale.data.decoding import decode_windows
from keras_selectscale.data.image_draws import centre_windows, draw, random_windows, shifts
from tests.data.folders import encode, picture
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


def test_is_a_value():
    assert Augmentation(padding=np.int64(4), flip=True) == Augmentation(4, True)
    assert type(Augmentation(np.int64(4), True).padding) is int
    with pytest.raises(dataclasses.FrozenInstanceError):
        Augmentation(4, True).padding = 1


@pytest.mark.parametrize(
    ("padding", "flip", "error", "named"),
    [
        (-1, True, ValueError, "`padding`.*-1"),
        (1.0, True, TypeError, "`padding`.*1.0"),
        (True, True, TypeError, "`padding`"),
        (1, 1, TypeError, "`flip`.*1"),
    ],
)
def test_refuses_bad_values(padding, flip, error, named):
    with pytest.raises(error, match=named):
        Augmentation(padding=padding, flip=flip)


def drawn_windows(height, width, augmentation=None, count=400, seed=0):
    """Returns the windows of as many positions, one a row."""
    augmentation = augmentation or InceptionAugmentation()
    draws = draw(augmentation, seed, tf.range(count, dtype=tf.int64))
    sides = (tf.fill((count,), side) for side in (height, width))
    return random_windows(draws, *sides, augmentation).numpy()


@pytest.mark.parametrize(("height", "width"), [(375, 500), (500, 375), (64, 64), (3, 5), (1, 1)])
def test_windows_lie_within_the_image(height, width):
    top, left, rows, columns = drawn_windows(height, width).T
    assert (top >= 0).all() and (left >= 0).all() and (rows >= 1).all() and (columns >= 1).all()
    assert (top + rows <= height).all() and (left + columns <= width).all()


def test_areas_and_shapes_are_those_of_the_paper():
    top, left, rows, columns = drawn_windows(1000, 1000, count=2000).T
    areas, aspects = rows * columns / 1e6, columns / rows
    assert 0.079 < areas.min() < 0.1 and areas.max() > 0.95
    # Of areas above 3/4 only those fit that are square enough: by integration over both.
    assert np.mean(areas) == pytest.approx(0.476, abs=0.02)
    assert 0.745 < aspects.min() < 0.76 and 1.31 < aspects.max() < 1.34
    assert np.median(np.log(aspects)) == pytest.approx(0, abs=0.02)
    assert np.mean(areas < 0.31) == pytest.approx(0.292, abs=0.035)
    free = 1000 - rows
    assert np.mean(top[free > 100] / free[free > 100]) == pytest.approx(0.5, abs=0.04)
    assert np.corrcoef(top[free > 100], left[free > 100])[0, 1] < 0.6


def test_the_seed_and_the_position_decide():
    assert len(np.unique(drawn_windows(375, 500), axis=0)) > 390
    np.testing.assert_array_equal(drawn_windows(375, 500, seed=1), drawn_windows(375, 500, seed=1))
    assert not np.array_equal(drawn_windows(375, 500, seed=1), drawn_windows(375, 500, seed=2))


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [
        (100, 1000, (0, 433, 100, 133)),
        (1000, 100, (433, 0, 133, 100)),
        (100, 110, (0, 0, 100, 110)),
    ],
)
def test_the_centre_is_taken_where_nothing_fits(height, width, expected):
    whole = InceptionAugmentation(smallest_area=1.0)
    found = drawn_windows(height, width, whole, count=5)
    np.testing.assert_array_equal(found, [expected] * 5)


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [
        (256, 256, (16, 16, 224, 224)),
        (512, 256, (144, 16, 224, 224)),
        (256, 384, (16, 80, 224, 224)),
        (8, 9, (0, 1, 7, 7)),
        (1, 5, (0, 2, 1, 1)),
    ],
)
def test_evaluation_sees_seven_eighths(height, width, expected):
    windows = centre_windows(tf.constant([height, 256]), tf.constant([width, 256])).numpy()
    assert [tuple(window) for window in windows] == [expected, (16, 16, 224, 224)]


def test_half_are_mirrored():
    flips = draw(InceptionAugmentation(), 0, tf.range(300, dtype=tf.int64)).flips.numpy()
    assert 110 < flips.sum() < 190
    pixels = picture(0, 6, 5)
    images = [tf.constant(encode(pixels, form)) for form in ("PNG", "BMP")]

    def whole(heights, widths):
        return tf.stack([0 * heights, 0 * heights, heights, widths], 1)

    for chosen in ([False, True], [True, False]):
        found = decode_windows(images, 3, whole, tf.constant(chosen))
        for image, flip in zip(found, chosen, strict=True):
            np.testing.assert_array_equal(image, pixels[:, ::-1] if flip else pixels)


def test_light_is_normal_along_the_eigenvectors():
    augmentation = InceptionAugmentation(lighting=0.2)
    draws = draw(augmentation, 0, tf.range(300, dtype=tf.int64))
    strengths = np.linalg.solve(EIGENVECTORS, shifts(draws, augmentation).numpy().T).T / EIGENVALUES
    np.testing.assert_allclose(strengths.std(0), 0.2, rtol=0.15)
    np.testing.assert_allclose(strengths.mean(0), 0, atol=0.05)
    assert np.abs(np.corrcoef(strengths.T) - np.eye(3)).max() < 0.25
    np.testing.assert_array_equal(
        shifts(draws, InceptionAugmentation(lighting=0.0)), [[0] * 3] * 300
    )


def test_eigenvectors_are_orthonormal():
    np.testing.assert_allclose(EIGENVECTORS.T @ EIGENVECTORS, np.eye(3), atol=2e-3)


@pytest.mark.parametrize(
    ("field", "value", "error"),
    [
        ("smallest_area", 0.0, ValueError),
        ("smallest_area", 1.1, ValueError),
        ("smallest_area", math.nan, ValueError),
        ("smallest_area", "1", TypeError),
        ("widest_aspect", 0.9, ValueError),
        ("widest_aspect", math.inf, ValueError),
        ("lighting", -0.1, ValueError),
        ("lighting", True, TypeError),
        ("flip", 1, TypeError),
    ],
)
def test_inception_augmentation_refuses_bad_values(field, value, error):
    with pytest.raises(error, match=f"`{field}` must be .*{field}={value!r}"):
        InceptionAugmentation(**{field: value})
