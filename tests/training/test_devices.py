import pytest

from keras_selectscale.training import Devices


def test_by_default_there_is_one():
    devices = Devices()
    assert devices.count == 1 and devices.is_main and not devices.is_several
    devices.check_batches(batch_size=7, train_count=15)
    described = devices.describe()
    assert described.pop("jit") in (True, False)
    assert described == {
        "distribute": "none", "devices": 1, "processes": None, "steps_per_dispatch": "auto",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"distribute": "all"}, ["`distribute`", "mirrored", "'all'"]),
        ({"cpu_devices": 0}, ["`cpu_devices`", "at least 1", "0"]),
        ({"steps_per_dispatch": 0}, ["`steps_per_dispatch`", "at least 1"]),
        ({"processes": 2}, ["`coordinator`", "processes=2"]),
        ({"coordinator": "host:1", "processes": 2, "process": 0}, ["`coordinator`", "'data'"]),
    ],
)
def test_bad_values_are_refused(options, words):
    with pytest.raises(ValueError) as caught:
        Devices(**options)
    assert all(word in str(caught.value) for word in words), caught.value


def test_types_are_checked():
    with pytest.raises(TypeError, match="`cpu_devices` must be an integer"):
        Devices(cpu_devices=2.0)


@pytest.mark.parametrize(
    ("backend", "options", "words"),
    [
        ("torch", {"distribute": "mirrored"}, "KERAS_BACKEND=tensorflow"),
        ("tensorflow", {"distribute": "data"}, "KERAS_BACKEND=jax"),
        ("tensorflow", {"steps_per_dispatch": 5}, "`steps_per_dispatch` must be 1"),
    ],
)
def test_another_backend_is_said(monkeypatch, backend, options, words):
    monkeypatch.setattr("keras.backend.backend", lambda: backend)
    with pytest.raises(ValueError, match=words):
        Devices(**options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"coordinator": "host", "processes": 2, "process": 0}, "HOST:PORT"),
        ({"coordinator": "host:99999", "processes": 2, "process": 0}, "HOST:PORT"),
        ({"coordinator": "host:99", "processes": 2, "process": 2}, "from 0 to 1"),
        ({"coordinator": "host:99", "processes": 2}, "all of them"),
    ],
)
def test_the_processes_are_checked(monkeypatch, options, words):
    monkeypatch.setattr("keras.backend.backend", lambda: "jax")
    with pytest.raises(ValueError, match=words):
        Devices(distribute="data", **options)


@pytest.mark.parametrize(("batch_size", "train_count"), [(6, 60), (8, 62)])
def test_batches_that_cannot_be_shared_evenly_are_refused(monkeypatch, batch_size, train_count):
    monkeypatch.setattr(Devices, "count", 4)
    with pytest.raises(ValueError, match=rf"4 devices share evenly.*batch_size={batch_size}"):
        Devices().check_batches(batch_size, train_count)
    Devices().check_batches(8, 60)
