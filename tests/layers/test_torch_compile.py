"""`torch.compile` of the layers: no break of the graph, and the same draws."""

import numpy as np
import pytest
from keras import ops

from keras_selectscale import Selective, linear_curriculum
from keras_selectscale.layers.methods import METHODS
from tests.layers import drawing

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.skipif(drawing.BACKEND != "torch", reason="about the PyTorch backend")

LAYERS = {
    name: lambda method=method: method.layer(**method.defaults, seed=1)
    for name, method in METHODS.items()
    if method.layer is not None
} | {
    "selective": lambda: Selective(
        METHODS["spatial-scale"].layer(retaining_rate=0.0, seed=1), top_rate=0.5
    ),
    "scheduled": lambda: METHODS["selectscale"].layer(
        top_rate=0.5, retaining_rate=linear_curriculum(0.0, 2), seed=1
    ),
}


@pytest.mark.parametrize("name", LAYERS)
def test_a_compiled_layer_draws_what_an_eager_one_draws(name):
    x = np.random.default_rng(0).normal(size=(4, 6, 5, 8)).astype("float32")
    results = []
    for compiled in (False, True):
        layer = LAYERS[name]()
        layer.build(x.shape)

        def call(inputs, layer=layer):
            return layer(inputs, training=True)

        torch._dynamo.reset()
        run = torch.compile(call, backend="aot_eager", fullgraph=True) if compiled else call
        outputs = []
        for _ in range(2):
            inputs = torch.tensor(x, requires_grad=True)
            y = run(inputs)
            outputs += [y, *torch.autograd.grad(y, inputs, torch.ones_like(y))]
        results.append([ops.convert_to_numpy(each) for each in outputs])
    assert any((each != x).any() for each in results[0][::2])
    for eager, other in zip(*results, strict=True):
        np.testing.assert_array_equal(eager, other)
