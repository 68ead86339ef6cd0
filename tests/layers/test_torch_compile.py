"""`torch.compile` of the layers: no break of the graph, and the same draws."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_selectscale import Selective, Selectout, SelectScale, linear_curriculum
from keras_selectscale.layers.methods import METHODS
from keras_selectscale.optimizers import CoupledSGD
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


def training_step():
    """Returns a training step with two drops, and the variables that it changes."""
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((6, 6, 3)),
            keras.layers.Conv2D(8, 3),
            SelectScale(top_rate=0.5, retaining_rate=0.4),
            Selectout(top_rate=0.5, retaining_rate=0.8),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(4),
        ]
    )
    optimizer = CoupledSGD(0.1)
    optimizer.build(model.trainable_variables)
    loss_function = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def step(x, y):
        loss = loss_function(y, model(x, training=True))
        weights = [each.value for each in model.trainable_variables]
        gradients = torch.autograd.grad(loss, weights)
        with torch.no_grad():
            optimizer.apply(list(gradients), model.trainable_variables)
        return loss.detach()

    return step, [*model.variables, *optimizer.variables]


@pytest.mark.slow
def test_a_compiled_training_step_is_one_graph_and_trains_as_an_eager_one(monkeypatch):
    monkeypatch.setattr(torch._dynamo.config, "trace_autograd_ops", True)
    x = torch.tensor(np.random.default_rng(0).normal(size=(4, 6, 6, 3)).astype("float32"))
    y = torch.arange(4)
    explained = torch._dynamo.explain(training_step()[0])(x, y)
    assert (explained.graph_count, explained.graph_break_count) == (1, 0)
    found = []
    for compiled in (False, True):
        step, variables = training_step()
        torch._dynamo.reset()
        run = torch.compile(step, backend="aot_eager", fullgraph=True) if compiled else step
        losses = [float(run(x, y)) for _ in range(2)]
        found.append([losses, *(ops.convert_to_numpy(each) for each in variables)])
    for eager, other in zip(*found, strict=True):
        np.testing.assert_allclose(other, eager, rtol=1e-5, atol=1e-6)
