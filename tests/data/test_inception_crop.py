import math

import numpy as np
import pytest
import tensorflow as tf

from keras_selectscale.data import InceptionAugmentation
from keras_selectscale.data.decoding import decode, decode_window
from keras_selectscale.data.inception_crop import (
    EIGENVALUES,
    EIGENVECTORS,
    centre_window,
    light,
    mirrored,
    random_window,
)
from tests.data.folders import encode, picture


def windows(height, width, augmentation=None, count=400, seed=0):
    """Returns the windows of as many positions, one a row."""
    augmentation = augmentation or InceptionAugmentation()

    @tf.function
    def draw(positions):
        return tf.map_fn(
            lambda position: random_window(height, width, augmentation, seed, position),
            positions,
            fn_output_signature=tf.int32,
        )

    return draw(tf.range(count, dtype=tf.int64)).numpy()


@pytest.mark.parametrize(("height", "width"), [(375, 500), (500, 375), (64, 64), (3, 5), (1, 1)])
def test_windows_lie_within_the_image(height, width):
    top, left, rows, columns = windows(height, width).T
    assert (top >= 0).all() and (left >= 0).all() and (rows >= 1).all() and (columns >= 1).all()
    assert (top + rows <= height).all() and (left + columns <= width).all()


def test_areas_and_shapes_are_those_of_the_paper():
    top, left, rows, columns = windows(1000, 1000, count=2000).T
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
    assert len(np.unique(windows(375, 500), axis=0)) > 390
    np.testing.assert_array_equal(windows(375, 500, seed=1), windows(375, 500, seed=1))
    assert not np.array_equal(windows(375, 500, seed=1), windows(375, 500, seed=2))


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
    found = windows(height, width, whole, count=5)
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
    assert tuple(centre_window(tf.constant(height), tf.constant(width)).numpy()) == expected


def test_half_are_mirrored():
    pixels = picture(0, 6, 5)
    flips = 0
    for position in range(300):
        outputs = mirrored(pixels, InceptionAugmentation(), 0, tf.constant(position, tf.int64))
        found = [np.array_equal(outputs, pixels), np.array_equal(outputs, pixels[:, ::-1])]
        assert sum(found) == 1
        flips += found[1]
    assert 110 < flips < 190
    assert mirrored(pixels, InceptionAugmentation(flip=False), 0, 1) is pixels


def test_light_is_normal_along_the_eigenvectors():
    augmentation = InceptionAugmentation(lighting=0.2)
    shifts = [light(augmentation, 0, tf.constant(n, tf.int64)).numpy() for n in range(300)]
    strengths = np.linalg.solve(EIGENVECTORS, np.array(shifts).T).T / EIGENVALUES
    np.testing.assert_allclose(strengths.std(0), 0.2, rtol=0.15)
    np.testing.assert_allclose(strengths.mean(0), 0, atol=0.05)
    assert np.abs(np.corrcoef(strengths.T) - np.eye(3)).max() < 0.25
    np.testing.assert_array_equal(light(InceptionAugmentation(lighting=0.0), 0, 1), [0, 0, 0])


def test_eigenvectors_are_orthonormal():
    np.testing.assert_allclose(EIGENVECTORS.T @ EIGENVECTORS, np.eye(3), atol=2e-3)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "BMP", "GIF"])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_window_is_that_of_the_whole_image(form, channels):
    encoded = encode(picture(2, 60, 90, channels), form)
    whole = decode(encoded, channels)
    window = decode_window(tf.constant(encoded), channels, lambda h, w: tf.stack([7, 11, 30, 41]))
    assert whole.shape == (60, 90, channels) and whole.dtype == np.uint8
    # A JPEG's colours are blended with those beyond the window's border, which are not there.
    difference = np.abs(whole[7:37, 11:52].astype(int) - window.numpy())
    assert difference[2:-2, 2:-2].max() <= (1 if form == "JPEG" else 0)
    assert difference.mean() < 1


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
def test_refuses_bad_values(field, value, error):
    with pytest.raises(error, match=f"`{field}` must be .*{field}={value!r}"):
        InceptionAugmentation(**{field: value})
