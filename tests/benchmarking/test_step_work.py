import keras
import numpy as np
import pytest

from keras_selectscale import SelectScale
from keras_selectscale.benchmarking import step_work
from keras_selectscale.benchmarking.backend_modes import modes
from keras_selectscale.benchmarking.step_work import NetworkError


def test_each_step_trains_on():
    model = step_work.make_network(
        "resnet-8", "selectscale", mode=modes()[0], precision="bfloat16", seed=0
    )
    drops = [layer for layer in model.layers if isinstance(layer, SelectScale)]
    assert len(drops) == 7 and {drop.top_rate for drop in drops} == {0.5}
    assert {drop.compute_dtype for drop in drops} == {"bfloat16"}
    assert keras.config.dtype_policy().name == "float32"
    images, labels = step_work.make_batch(model, 2, seed=0)
    assert images.shape == (2, 32, 32, 3) and labels.shape == (2,)
    work = step_work.step_work(model, (images, labels))
    losses = []
    for _ in range(3):
        logs = work()
        logs = logs[0] if isinstance(logs, tuple) else logs
        losses.append(float(keras.ops.convert_to_numpy(logs["loss"])))
    assert np.isfinite(losses).all() and len(set(losses)) == 3


@pytest.mark.parametrize("mode", modes())
def test_a_network_is_compiled_as_its_mode_says(mode):
    model = step_work.make_network("resnet-8", "none", mode=mode, precision="float32", seed=0)
    assert model.jit_compile == (mode in ("xla", "jit"))
    assert not any(isinstance(layer, SelectScale) for layer in model.layers)


def test_a_depth_that_is_none_is_named():
    with pytest.raises(NetworkError, match="6n [+] 2.*networks='resnet-9'"):
        step_work.make_network("resnet-9", "none", mode=modes()[0], precision="float32", seed=0)
