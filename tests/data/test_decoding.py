import numpy as np
import pytest
import tensorflow as tf

from keras_selectscale.data.decoding import decode, decode_windows
from tests.data.folders import encode, picture


@pytest.mark.parametrize("form", ["JPEG", "PNG", "BMP", "GIF"])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_window_is_that_of_the_whole_image(form, channels):
    encoded = encode(picture(2, 60, 90, channels), form)
    whole = decode(encoded, channels)
    (window,) = decode_windows(
        [tf.constant(encoded)], channels, lambda h, w: tf.constant([[7, 11, 30, 41]])
    )
    assert whole.shape == (60, 90, channels) and whole.dtype == np.uint8
    # A JPEG's colours are blended with those beyond the window's border, which are not there.
    difference = np.abs(whole[7:37, 11:52].astype(int) - window.numpy())
    assert difference[2:-2, 2:-2].max() <= (1 if form == "JPEG" else 0)
    assert difference.mean() < 1
