import os

import numpy as np
import pytest

from keras_selectscale.data import load

DATA_DIR = os.environ.get("KERAS_SELECTSCALE_CIFAR10_DIR")


@pytest.mark.skipif(
    not DATA_DIR, reason="KERAS_SELECTSCALE_CIFAR10_DIR names no folder of the prepared CIFAR-10"
)
def test_the_real_one():
    data = load("cifar10", data_dir=DATA_DIR)
    np.testing.assert_array_equal(np.bincount(data.train_labels), [5000] * 10)
    np.testing.assert_array_equal(np.bincount(data.test_labels), [1000] * 10)
    assert data.input_shape == (32, 32, 3) and data.train_images.dtype == np.uint8
    np.testing.assert_allclose(data.mean, (0.4914, 0.4822, 0.4465), atol=1e-4)
    np.testing.assert_allclose(data.std, (0.2470, 0.2435, 0.2616), atol=1e-4)
