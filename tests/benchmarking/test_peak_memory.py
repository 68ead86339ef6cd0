import pytest

from keras_selectscale.benchmarking.backend_modes import modes
from keras_selectscale.benchmarking.peak_memory import peak_memory
from keras_selectscale.benchmarking.step_work import NetworkError

pytestmark = pytest.mark.slow

STEP = {"mode": modes()[0], "precision": "float32", "seed": 0}


def test_a_process_tells_its_peak():
    # 64 images: the activations alone are some 64 * 32 * 32 * 16 * 4 bytes a layer.
    found = peak_memory("resnet-8", "selectscale", batch_size=64, **STEP)
    assert found["peak"] - found["before"] > 8 * 2**20
    assert 2**20 < found["before"] < found["peak"] and found["of"]


def test_a_step_takes_memory_with_the_batch():
    small, large = (
        peak_memory("resnet-8", "none", batch_size=size, **STEP)["step"] for size in (32, 128)
    )
    # Each layer keeps its input for the gradient.
    assert 2**20 < 2 * small < large


def test_a_network_that_cannot_be_made_is_named():
    with pytest.raises(NetworkError, match="6n [+] 2"):
        peak_memory("resnet-9", "none", batch_size=1, **STEP)


def test_a_process_that_ends_otherwise_says_so():
    with pytest.raises(OSError, match="resnet-8 with nonsense.*status 1: KeyError"):
        peak_memory("resnet-8", "nonsense", batch_size=1, **STEP)
