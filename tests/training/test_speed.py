"""What `auto` stands for, by backend and device; and that a run goes on as it began."""

import dataclasses
import sys
import types

import keras
import numpy as np
import pytest

from keras_selectscale import data
from keras_selectscale.training import Devices, Recipe, RunFolder, build_model, speed, train

RECIPE = Recipe(
    network="resnet-8", dataset="digits", drop="selectscale", epochs=2, batch_size=20, train_size=40
)
on_tensorflow = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="XLA or not is a choice on TensorFlow alone"
)


def choose_backend(monkeypatch, name):
    monkeypatch.setattr("keras.backend.backend", lambda: name)


def be_tensorflow(monkeypatch, flags="", capabilities=(), tpu=False):
    """Lets TensorFlow have a CPU with these flags and GPUs of these compute capabilities."""
    choose_backend(monkeypatch, "tensorflow")
    kinds = ["CPU", *["GPU"] * len(capabilities), *["TPU"] * tpu]
    rest = list(capabilities)
    devices = [
        types.SimpleNamespace(device_type=kind, capability=rest.pop(0) if kind == "GPU" else None)
        for kind in kinds
    ]

    def visible(kind=None):
        return [device for device in devices if kind in (None, device.device_type)]

    def details(device):
        return {} if device.capability is None else {"compute_capability": device.capability}

    config = types.SimpleNamespace(
        get_visible_devices=visible,
        experimental=types.SimpleNamespace(get_device_details=details),
    )
    monkeypatch.setitem(sys.modules, "tensorflow", types.SimpleNamespace(config=config))
    monkeypatch.setattr(speed, "cpu_flags", lambda: set(flags.split()))


@pytest.mark.parametrize(
    ("machine", "precision"),
    [
        ({"flags": "avx2 avx512f"}, "float32"),
        ({"flags": "avx2 avx512_bf16"}, "mixed_bfloat16"),
        ({"flags": "amx_bf16 amx_tile"}, "mixed_bfloat16"),
        ({"flags": "avx512_bf16", "capabilities": [(7, 5)]}, "float32"),
        ({"capabilities": [(8, 0)]}, "mixed_bfloat16"),
        ({"capabilities": [(12, 0), (7, 0)]}, "float32"),
        ({"capabilities": [None]}, "float32"),
        ({"tpu": True}, "mixed_bfloat16"),
    ],
)
def test_on_tensorflow_the_device_decides_the_precision(monkeypatch, machine, precision):
    be_tensorflow(monkeypatch, **machine)
    assert speed.fastest_precision() == precision


@pytest.mark.parametrize(
    ("platform", "capability", "precision"),
    [
        ("cpu", None, "float32"),
        ("tpu", None, "mixed_bfloat16"),
        ("gpu", "8.6", "mixed_bfloat16"),
        ("gpu", "10.0", "mixed_bfloat16"),
        ("gpu", "7.5", "float32"),
        ("gpu", "gfx90a", "float32"),
    ],
)
def test_on_jax_it_is_no_affair_of_the_cpu(monkeypatch, platform, capability, precision):
    choose_backend(monkeypatch, "jax")
    monkeypatch.setattr(speed, "cpu_flags", lambda: {"avx512_bf16", "amx_bf16"})
    device = types.SimpleNamespace(platform=platform, compute_capability=capability)
    jax = types.SimpleNamespace(local_devices=lambda: [device])
    monkeypatch.setitem(sys.modules, "jax", jax)
    assert speed.fastest_precision() == precision


def test_on_pytorch_no_gpu_is_asked(monkeypatch):
    choose_backend(monkeypatch, "torch")
    cuda = types.SimpleNamespace(is_available=lambda: True, get_device_capability=lambda: (9, 0))
    torch = types.SimpleNamespace(cuda=cuda, version=types.SimpleNamespace(hip=None))
    monkeypatch.setitem(sys.modules, "torch", torch)
    assert speed.fastest_precision() == "float32"


def test_the_flags_are_those_of_the_system(monkeypatch, tmp_path):
    monkeypatch.setattr(speed, "CPU_INFO", tmp_path / "cpuinfo")
    assert speed.cpu_flags() == set()
    speed.CPU_INFO.write_text("processor\t: 0\nflags\t\t: fpu avx512_bf16\nbugs\t: amx_bf16\n")
    assert speed.cpu_flags() == {"fpu", "avx512_bf16"}


@pytest.mark.parametrize(
    ("backend", "capabilities", "distribute", "possible"),
    [
        ("tensorflow", [], "none", (False, True)),
        ("tensorflow", [(8, 0)], "none", (True, False)),
        ("tensorflow", [(8, 0)], "mirrored", (False,)),
        ("jax", [], "none", (True,)),
        ("jax", [], "data", (True,)),
        ("torch", [], "none", (False,)),
    ],
)
def test_what_jit_may_be(monkeypatch, backend, capabilities, distribute, possible):
    be_tensorflow(monkeypatch, capabilities=capabilities)
    choose_backend(monkeypatch, backend)
    assert speed.possible_jit(distribute) == possible
    assert speed.decide_jit(None, distribute=distribute) is possible[0]
    for jit in (True, False):
        if jit in possible:
            assert Devices(distribute=distribute, jit=jit).decide_jit() is jit
            assert speed.decide_jit(None, jit, distribute) is jit
        else:
            with pytest.raises(ValueError, match="`jit` must be o"):
                Devices(distribute=distribute, jit=jit)
            # Begun elsewhere: it goes on with what can be here.
            assert speed.decide_jit(None, jit, distribute) is possible[0]


def test_another_jit_than_the_run_began_with_is_refused(monkeypatch):
    be_tensorflow(monkeypatch)
    assert speed.decide_jit(True, True) is True
    with pytest.raises(ValueError, match="`jit` must be on, with which the run began.*jit=off"):
        speed.decide_jit(False, True)
    with pytest.raises(TypeError, match="`jit` must be a bool.*'on'"):
        Devices(jit="on")


class Stop(keras.callbacks.Callback):
    """Ends a run after some steps, and keeps whether it was compiled."""

    def __init__(self, steps):
        super().__init__()
        self.left, self.jit = steps, None

    def on_train_batch_end(self, batch, logs=None):
        self.jit = self.model.jit_compile
        self.left -= 1
        if not self.left:
            raise InterruptedError


@pytest.mark.slow
@on_tensorflow
def test_a_run_goes_on_compiled_as_it_began(tmp_path, tiny_network):
    recipe = dataclasses.replace(RECIPE, network="tiny")
    images = data.load("digits", train_size=40, seed=0)
    images = dataclasses.replace(
        images, test_images=images.test_images[:20], test_labels=images.test_labels[:20]
    )

    def go_on(name, devices, steps=-1):
        folder, stop = RunFolder(tmp_path / name), Stop(steps)
        folder.open(recipe.as_json(), {})
        options = {"tensorboard": False, "checkpoint_seconds": 0.0, "callbacks": [stop]}
        try:
            train(recipe, folder, images, devices=devices, **options)
        except InterruptedError:
            assert steps > 0
        return folder, stop.jit

    parts, first = go_on("parts", Devices(jit=True), 3)
    with pytest.raises(ValueError, match="`jit` must be on"):
        go_on("parts", Devices(jit=False))
    parts, second = go_on("parts", Devices())  # It stands in the checkpoint.
    whole, third = go_on("whole", Devices(jit=True))
    assert first is second is third is True
    ends = [keras.models.load_model(run.checkpoint_path).get_weights() for run in (parts, whole)]
    assert all(np.array_equal(a, b) for a, b in zip(*ends, strict=True))


@on_tensorflow
@pytest.mark.parametrize("jit", [True, False])
def test_the_model_of_a_recipe_is_compiled_as_asked(jit):
    images = data.load("digits", train_size=40, seed=0)
    recipe = dataclasses.replace(RECIPE, precision="mixed_bfloat16")
    model = build_model(recipe, images, 3, jit=jit)
    assert model.jit_compile is jit
    assert model.layers[1].compute_dtype == "bfloat16"
    assert keras.config.dtype_policy().name == "float32"
