"""A schedule advances once in each training step, however often the layer is called in it."""

import gc
import weakref

import keras
import numpy as np
import pytest
from keras import ops

from keras_selectscale import FeatureDrop, Selective, linear_curriculum
from tests.layers import drawing

BACKEND = drawing.BACKEND
# Binary fractions: the rate of each step is exact.
RATES = [1 - 0.5 * min(step / 8, 1) for step in range(12)]
SHAPE = (3, 4)
FRAMES = 4


@keras.saving.register_keras_serializable(package="tests")
class Rate(FeatureDrop):
    """A drop whose factor is its rate, so that an output shows the rate of every call."""

    def draw_factor(self, inputs, retaining_rate):
        return retaining_rate * ops.ones(self.map_shape(inputs))


def make_drop():
    return Rate(retaining_rate=linear_curriculum(0.5, 8), seed=1)


class Repeat(keras.layers.Layer):
    """Calls a layer several times, one after the other, as `how` says."""

    def __init__(self, layer, how):
        super().__init__()
        self.layer, self.how = layer, how

    def build(self, shape):
        self.layer.build(shape)

    def compute_output_shape(self, shape):
        return shape

    def call(self, inputs, training=False):
        def once(x):
            return self.layer(x, training=training)

        if self.how == "python":
            for _ in range(FRAMES):
                inputs = once(inputs)
            return inputs
        if self.how == "fori_loop":
            return ops.fori_loop(0, FRAMES, lambda _, x: once(x), inputs)
        if self.how == "cond":  # Within a graph, the second branch is traced after the first.
            first = ops.cond(ops.sum(inputs) > 0, lambda: once(inputs), lambda: inputs)
            return ops.cond(ops.sum(inputs) > 0, lambda: once(first), lambda: first)
        assert self.how == "vectorized_map"
        return ops.reshape(ops.vectorized_map(once, inputs[:, None]), ops.shape(inputs))


class Cell(keras.layers.Layer):
    """A recurrent cell with a drop inside."""

    def __init__(self, drop):
        super().__init__()
        self.drop = drop
        self.state_size = self.output_size = SHAPE[0] * SHAPE[1]

    def build(self, shape):
        self.drop.build((None, *SHAPE))

    def call(self, inputs, states, training=False):
        maps = ops.reshape(inputs, (-1, *SHAPE))
        output = ops.reshape(self.drop(maps, training=training), (-1, self.output_size))
        return output, [output]


def several(build, drop):
    """Returns a model of several calls of a drop, and the power of the rate in its outputs."""
    inputs = keras.Input((FRAMES, *SHAPE))
    # Something to train, at a learning rate of 0.
    first = keras.layers.Dense(SHAPE[1], kernel_initializer="identity", use_bias=False)
    x = first(inputs)
    outputs, power = build(drop, x)
    return keras.Model(inputs, outputs), power


def time_distributed(drop, x):
    return keras.layers.TimeDistributed(drop)(x), 1


def two_branches(drop, x):
    return ops.stack([drop(x[:, 0]), drop(x[:, 1])], axis=1), 1


def siamese(drop, x):
    inputs = keras.Input(SHAPE)
    tower = keras.Model(inputs, drop(inputs))
    return ops.stack([tower(x[:, 0]), tower(x[:, 1])], axis=1), 1


def selective(drop, x):
    layer = Selective(drop, top_rate=1.0)
    return ops.stack([layer(x[:, 0]), layer(x[:, 1])], axis=1), 1


def in_a_row(drop, x):
    return Repeat(drop, "python")(x[:, 0]), FRAMES


def in_a_loop(drop, x):
    return Repeat(drop, "fori_loop")(x[:, 0]), FRAMES


def in_branches(drop, x):
    return Repeat(drop, "cond")(x[:, 0]), 2


def mapped(drop, x):
    return Repeat(drop, "vectorized_map")(x[:, 0]), 1


def recurrent(drop, x):
    flat = ops.reshape(x, (-1, FRAMES, SHAPE[0] * SHAPE[1]))
    return keras.layers.RNN(Cell(drop), return_sequences=True)(flat), 1


# The others draw inside a loop that JAX or PyTorch traces, in which neither allows a seed.
NETWORKS = [time_distributed, two_branches, siamese, selective, in_a_row]
NETWORKS += {
    "tensorflow": [in_a_loop, in_branches, mapped, recurrent],
    "jax": [mapped],
    "torch": [in_a_loop, in_branches, recurrent],
}[BACKEND]


def fit(model, samples, targets, **compile_arguments):
    """Returns the loss of each batch of two samples."""
    accumulation = compile_arguments.pop("gradient_accumulation_steps", None)
    optimizer = keras.optimizers.SGD(0.0, gradient_accumulation_steps=accumulation)
    model.compile(optimizer, "mse", **compile_arguments)
    run = {"batch_size": 2, "shuffle": False, "verbose": 0}
    # Of two epochs the second is the mean of the later batches.
    return [
        model.fit(samples[at : at + 4], targets[at : at + 4], **run).history["loss"][0]
        for at in range(0, len(samples), 4)
    ]


def losses_of(power, steps):
    """Returns the mean loss of every two steps, against targets of 0."""
    each = [RATES[step] ** (2 * power) for step in range(steps)]
    return np.mean(np.reshape(each, (-1, 2)), axis=1)


def samples_for(model, steps):
    shape = [FRAMES if size is None else size for size in model.output_shape[1:]]
    return np.ones((2 * steps, FRAMES, *SHAPE), "float32"), np.zeros((2 * steps, *shape), "float32")


@pytest.mark.parametrize("network", NETWORKS)
def test_several_calls_in_a_model_are_one_step(network):
    drop = make_drop()
    model, power = several(network, drop)
    losses = fit(model, *samples_for(model, 6))
    np.testing.assert_allclose(losses, losses_of(power, 6), rtol=1e-5)
    assert int(drop.training_calls) == 6


WAYS = {
    "eager": {"run_eagerly": True},
    "several steps an execution": {"steps_per_execution": 2},
    "XLA": {"jit_compile": True},
    "no XLA": {"jit_compile": False},
    "accumulated gradients": {"gradient_accumulation_steps": 2},
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("network", [time_distributed, recurrent])
def test_whatever_the_way_of_training(network, way):
    if network not in NETWORKS:
        pytest.skip("this backend draws nothing inside a loop that it traces")
    if BACKEND == "torch" and way in ("XLA", "several steps an execution"):
        pytest.skip("PyTorch has no such way")
    drop = make_drop()
    model, power = several(network, drop)
    losses = fit(model, *samples_for(model, 4), **WAYS[way])
    np.testing.assert_allclose(losses, losses_of(power, 4), rtol=1e-5)
    assert int(drop.training_calls) == 4


def test_inference_between_does_not_count():
    drop = make_drop()
    model, _ = several(two_branches, drop)
    samples = np.ones((4, FRAMES, *SHAPE), "float32")
    for _ in range(2):
        model(samples, training=True)
        model(samples)
        model.predict(samples, verbose=0)
    assert int(drop.training_calls) == 2


def test_in_a_loop_of_ones_own_each_forward_pass_is_a_step():
    """Of a model, and of a bare layer."""
    drop = make_drop()
    model, _ = several(two_branches, drop)
    samples = np.ones((2, FRAMES, *SHAPE), "float32")
    for rate in RATES:
        outputs, gradient = drawing.outputs_and_gradient(
            lambda x: model(x, training=True), ops.convert_to_tensor(samples)
        )
        np.testing.assert_array_equal(drawing.as_array(outputs), rate)
        np.testing.assert_array_equal(drawing.as_array(gradient)[:, :2], rate)
    assert int(drop.training_calls) == len(RATES)
    bare = make_drop()
    for rate in RATES:
        np.testing.assert_array_equal(drawing.as_array(bare(samples[:, 0], training=True)), rate)


def test_a_stateless_call_is_a_step():
    drop = make_drop()
    model, _ = several(siamese, drop)
    samples = np.ones((2, FRAMES, *SHAPE), "float32")
    trainable = [v.value for v in model.trainable_variables]
    state = [v.value for v in model.non_trainable_variables]
    for rate in RATES[:3]:
        outputs, state = model.stateless_call(trainable, state, samples, training=True)
        np.testing.assert_array_equal(drawing.as_array(outputs), rate)
    assert int(drop.training_calls) == 0


def test_a_call_without_a_pass_is_a_step():
    drop = make_drop()
    drop.build((2, *SHAPE))
    for rate in RATES[:3]:
        outputs = drop.call(ops.ones((2, *SHAPE)), training=True)
        np.testing.assert_array_equal(drawing.as_array(outputs), rate)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="functions of TensorFlow")
@pytest.mark.parametrize("network", [two_branches, in_a_loop, mapped])
def test_in_a_function_that_loops_over_steps(network):
    import tensorflow as tf

    drop = make_drop()
    model, power = several(network, drop)
    samples = tf.ones((2, FRAMES, *SHAPE))

    @tf.function
    def train(steps):
        rates = tf.TensorArray("float32", steps)
        for step in tf.range(steps):
            rates = rates.write(step, tf.reduce_mean(model(samples, training=True)))
        model(samples, training=True)  # A call outside the loop is a step of its own.
        return rates.stack()

    np.testing.assert_allclose(train(5), np.power(RATES[:5], power), rtol=1e-6)
    assert int(drop.training_calls) == 6
    np.testing.assert_allclose(train(4), np.power(RATES[6:10], power), rtol=1e-6)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="functions of TensorFlow")
def test_if_only_a_part_is_traced_each_run_of_it_is_a_step():
    """Traced in a pass in which the drop was already called, it must not stand still for ever."""
    import tensorflow as tf

    drop = make_drop()
    drop.build((2, *SHAPE))
    samples = tf.ones((2, *SHAPE))

    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            self.drop = drop
            self.part = tf.function(lambda x: drop(x, training=True))
            self.built = True

        def call(self, inputs, training=False):
            return self.part(self.drop(inputs, training=training))

    model = Net()
    model(samples, training=True)
    before = int(drop.training_calls)
    for _ in range(3):
        model.part(samples)
    assert int(drop.training_calls) == before + 3


@pytest.mark.skipif(BACKEND != "jax", reason="a loop of JAX")
def test_in_a_compiled_loop_over_train_steps():
    """As this package trains on an accelerator."""
    import jax

    drop = make_drop()
    model, _ = several(siamese, drop)
    model.compile(keras.optimizers.SGD(0.0), "mse")
    samples = np.ones((2, FRAMES, *SHAPE), "float32")
    batch = samples, np.zeros((2, *model.output_shape[1:]), "float32")
    model.train_on_batch(*batch)
    kinds = ("trainable", "non_trainable", "optimizer", "metrics")
    state = model._get_jax_state(**{f"{kind}_variables": True for kind in kinds})

    @jax.jit
    def train(state):
        def step(state, _):
            logs, state = model.train_step(state, batch)
            return state, logs["loss"]

        return jax.lax.scan(step, state, length=4)

    (_, values, *_), losses = train(state)
    counted = dict(zip((v.path for v in model.non_trainable_variables), values, strict=True))
    assert int(counted[drop.training_calls.path]) == 5
    means = np.cumsum(np.square(RATES[:5])) / np.arange(1, 6)  # The metric is a running mean.
    np.testing.assert_allclose(losses, means[1:], rtol=1e-6)


def test_nothing_is_kept_after_a_pass():
    """A tensor of a graph that was traced would keep it alive."""
    drop = make_drop()
    outputs = weakref.ref(drop(ops.ones((2, *SHAPE)), training=True))
    rates = []
    drop.current_retaining_rate = lambda: rates.append(ops.ones(())) or rates[-1]
    drop(ops.ones((2, *SHAPE)), training=True)
    kept = weakref.ref(rates.pop())
    gc.collect()
    assert outputs() is None and kept() is None
