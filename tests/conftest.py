"""What all tests share: quiet libraries, threads, fixed seeds, both data formats."""

import gc
import os
import signal
import tempfile

# A shell lets what it starts in the background ignore Ctrl-C, and so would every process below.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# Modules, graphs and models are many small objects that live long: by default, a tenth of the time
# goes into collections.
gc.set_threshold(50_000, 20, 20)
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MPLBACKEND", "Agg")
# What JAX compiles is kept for the tests of later, and not in the user's cache folder.
os.environ.setdefault(
    "KERAS_SELECTSCALE_COMPILATION_CACHE",
    os.path.join(tempfile.gettempdir(), f"keras-selectscale-tests-{getattr(os, 'getuid', int)()}"),
)
# Workers side by side share the cores: more threads than cores wait for each other.
if "PYTEST_XDIST_WORKER_COUNT" in os.environ:
    threads = max(1, (os.cpu_count() or 1) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"]))
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(threads))

import hypothesis  # noqa: E402
import pytest  # noqa: E402

# The same examples at each run, and none is too slow: the first of each shape compiles.
hypothesis.settings.register_profile("repeatable", derandomize=True, deadline=None)
hypothesis.settings.load_profile("repeatable")


def pytest_collection_finish():
    """Keeps the collections from looking at what the imports have made."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def fixed_seeds():
    """Seeds Python, NumPy and the backend, so that unseeded layers and models repeat."""
    import keras  # Here, as the process that only distributes the tests never needs it.

    keras.utils.set_random_seed(20)


@pytest.fixture(params=["channels_last", "channels_first"])
def data_format(request):
    """Runs the test in both layouts."""
    return request.param


@pytest.fixture(scope="module")
def tiny_network():
    """Registers the network `tiny`; see `tests/models/tiny.py`."""
    from tests.models.tiny import registered

    with registered():
        yield
