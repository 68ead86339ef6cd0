import keras
import pytest


@pytest.fixture
def on_tensorflow():
    """Leaves a test out on the other backends."""
    if keras.backend.backend() != "tensorflow":
        pytest.skip("written by TensorFlow")
