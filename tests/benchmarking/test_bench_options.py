import json

import keras
import pytest

from keras_selectscale import models
from keras_selectscale.benchmarking import BenchOptions
from keras_selectscale.benchmarking.backend_modes import MODES, modes
from keras_selectscale.benchmarking.bench_options import QUICK


@pytest.mark.parametrize(
    "values, words",
    [
        ({"methods": ("selectscale", "selectscal")}, ["methods", "'selectscal'", "selectout"]),
        ({"methods": ()}, ["methods", "()"]),
        ({"step_methods": ("copy",)}, ["step_methods", "copy"]),
        ({"precisions": ("float64",)}, ["precisions", "float64", "bfloat16"]),
        ({"sections": ("layer",)}, ["sections", "layer"]),
        ({"modes": ("eagerly",)}, ["modes", "eagerly"]),
        ({"shapes": ()}, ["shapes"]),
        ({"shapes": ((2, 3, 4),)}, ["shapes", "(2, 3, 4)"]),
        ({"shapes": ((2, 3, 4, 0),)}, ["shapes", "(2, 3, 4, 0)"]),
        ({"networks": ("resnet20",)}, ["networks", "resnet20", "resnet-D"]),
        ({"networks": ()}, ["networks"]),
        ({"rounds": 0}, ["rounds", "0"]),
        ({"batch_size": 0}, ["batch_size", "0"]),
        ({"seed": -1}, ["seed", "-1"]),
        ({"seconds": 0.0}, ["seconds", "0"]),
        ({"seconds": float("nan")}, ["seconds", "nan"]),
    ],
)
def test_bad_values_are_named(values, words):
    with pytest.raises(ValueError) as caught:
        BenchOptions(**values)
    assert all(word in str(caught.value) for word in words)


@pytest.mark.parametrize("network", BenchOptions().networks)
def test_the_default_networks_are_there(network):
    assert models.build(network).count_params() > 0


@pytest.mark.parametrize("value", [1.5, "3", True])
def test_a_number_that_is_no_integer(value):
    with pytest.raises(TypeError, match="`rounds`"):
        BenchOptions(rounds=value)


def test_it_is_json():
    options = BenchOptions(**QUICK)
    known = json.loads(json.dumps(options.as_json()))
    assert known["quick"] is True and known["shapes"][0] == [128, 32, 32, 16]


def test_modes():
    every = BenchOptions()
    quick = BenchOptions(**QUICK)
    assert every.modes_here("steps") == every.modes_here("layers") == modes()
    assert quick.modes_here("layers") == modes() and quick.modes_here("steps") == modes()[:1]
    last = BenchOptions(**QUICK | {"modes": modes()[-1:]})
    assert last.modes_here("growth") == modes()[-1:]
    last.check_modes([keras.backend.backend()])
    other = "jax" if keras.backend.backend() != "jax" else "torch"
    with pytest.raises(ValueError, match=f"{MODES[other][0]} for the backend {other}"):
        last.check_modes([keras.backend.backend(), other])
