import pytest

from keras_selectscale.benchmarking.backend_modes import modes
from keras_selectscale.benchmarking.peak_memory import peak_memory
from keras_selectscale.benchmarking.step_work import NetworkError

pytestmark = pytest.mark.slow

STEP = {"mode": modes()[0], "precision": "float32", "seed": 0}


def test_a_process_tells_its_peak_which_grows_with_the_batch():
    small, large = (
        peak_memory("resnet-8", "selectscale", batch_size=size, **STEP) for size in (32, 128)
    )
    # Each layer keeps its input for the gradient: 128 * 32 * 32 * 16 * 4 bytes in the first group.
    assert large["peak"] - large["before"] > 8 * 2**20
    assert 2**20 < 2 * small["step"] < large["step"]
    for found in (small, large):
        assert 2**20 < found["before"] < found["peak"] and found["of"]


def test_a_network_that_cannot_be_made_is_named():
    with pytest.raises(NetworkError, match="6n [+] 2"):
        peak_memory("resnet-9", "none", batch_size=1, **STEP)


def test_a_process_that_ends_otherwise_says_so():
    with pytest.raises(OSError, match="resnet-8 with nonsense.*status 1: KeyError"):
        peak_memory("resnet-8", "nonsense", batch_size=1, **STEP)
