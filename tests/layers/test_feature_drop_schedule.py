"""Rates that follow a schedule, over the layer's own count of training calls."""

import keras
import numpy as np
import pytest
from keras import ops
from keras.optimizers import schedules

from keras_selectscale import (
    Selective,
    Selectout,
    SelectScale,
    SpatialDropout,
    SpatialScale,
    StandardDropout,
    exponential_curriculum,
    linear_curriculum,
)
from tests.layers import drawing, reference

STEPS = 8
# Binary fractions: the rate of each step is exact, and so are the counts.
SCHEDULE = linear_curriculum(0.5, STEPS)
RATES = [1 - 0.5 * min(step / STEPS, 1) for step in range(12)]
SHAPE = (12, 3, 24)


@pytest.fixture(params=[StandardDropout, SpatialDropout, SpatialScale, Selectout, SelectScale])
def method(request):
    return request.param


def scheduled(method, schedule=SCHEDULE, **more):
    top = {"top_rate": 0.5} if method in (Selectout, SelectScale) else {}
    return method(retaining_rate=schedule, seed=3, **top, **more)


def check_rate(method, factor, rate):
    """Asserts that `factor` was drawn with `rate` and no other."""
    maps = drawing.as_array(drawing.maps(SHAPE))
    if method in (SpatialScale, SelectScale):
        assert np.abs(factor - 1).max() <= 1 - rate + 1e-6
        assert np.abs(factor - 1).max() >= 0.9 * (1 - rate)
    else:
        np.testing.assert_allclose(factor[factor > 0], 1 / rate, rtol=1e-6)
    if method is Selectout:
        reference.check_factor("Selectout", factor, maps, retaining_rate=rate, top_rate=0.5)


def test_each_step_has_its_rate(method):
    layer, inputs = scheduled(method), drawing.maps(SHAPE)
    for step, rate in enumerate(RATES):
        check_rate(method, drawing.factor(layer, inputs), rate)
        layer(inputs), layer(inputs, training=False)  # Inference does not count.
        assert int(layer.training_calls) == step + 1


def test_compiled_each_step_has_its_rate_and_one_trace_does(method):
    inputs = drawing.maps(SHAPE)
    layer = scheduled(method)
    call, traces = drawing.compiled(layer, inputs.shape)
    for rate in RATES:
        check_rate(method, drawing.as_array(call(inputs)) / drawing.as_array(inputs), rate)
    assert traces() == 1
    assert int(layer.training_calls) == len(RATES)


@pytest.mark.parametrize(
    "schedule",
    [
        exponential_curriculum(0.5, STEPS),
        schedules.PolynomialDecay(1.0, STEPS, 0.5, power=2.0, cycle=True),
        schedules.CosineDecay(1.0, STEPS, alpha=0.5),
        schedules.CosineDecay(0.5, STEPS, alpha=0.5, warmup_target=1.0, warmup_steps=3),
        schedules.CosineDecayRestarts(1.0, 4, alpha=0.5),
        schedules.InverseTimeDecay(1.0, 10, 0.5),
        schedules.PiecewiseConstantDecay([2, 5], [1.0, 0.75, 0.5]),
    ],
    ids=lambda schedule: type(schedule).__name__,
)
def test_any_schedule_of_keras_will_do(schedule):
    layer = SpatialDropout(retaining_rate=schedule, seed=3)
    call, traces = drawing.compiled(layer, SHAPE)
    for step in range(10):
        factor = drawing.as_array(call(ops.ones(SHAPE)))
        np.testing.assert_allclose(factor[factor > 0], 1 / float(schedule(step)), rtol=1e-5)
    assert np.any(factor != 1)
    assert traces() == 1


def test_fit_counts_one_for_each_step_and_traces_once(method):
    traced = []

    class Counting(method):
        def draw_factor(self, inputs, retaining_rate):
            traced.append(1)
            return super().draw_factor(inputs, retaining_rate)

    layer = (
        scheduled(Counting)
        if "top_rate" not in drawing.METHODS[method]
        else Counting(retaining_rate=SCHEDULE, top_rate=0.5)
    )
    model = keras.Sequential([keras.Input((3, 6)), keras.layers.Dense(6), layer])
    model.compile(optimizer="sgd", loss="mse")
    samples = np.ones((8, 3, 6), "float32")
    model.fit(samples, samples, batch_size=4, epochs=1, verbose=0)
    first = len(traced)
    model.fit(samples, samples, batch_size=4, epochs=3, validation_split=0.5, verbose=0)
    assert int(layer.training_calls) == 2 + 3
    if drawing.BACKEND != "torch":
        assert len(traced) == first


class MakesItsDrop(keras.layers.Layer):
    """Creates its drop in `build`."""

    def __init__(self, make):
        super().__init__()
        self.make = make

    def build(self, shape):
        self.drop = self.make()
        self.drop.build(shape)

    def call(self, inputs, training=False):
        return self.drop(inputs, training=training)


class Subclassed(keras.Model):
    def __init__(self, block):
        super().__init__()
        self.dense, self.block = keras.layers.Dense(24), block

    def call(self, inputs, training=False):
        return self.block(self.dense(inputs), training=training)


@pytest.mark.parametrize(
    "schedule",
    [
        SCHEDULE,
        exponential_curriculum(0.5, STEPS),
        # It branches with `ops.cond`.
        schedules.CosineDecay(0.5, STEPS, alpha=0.5, warmup_target=1.0, warmup_steps=3),
    ],
    ids=lambda schedule: type(schedule).__name__,
)
def test_a_layer_is_created_while_a_graph_is_traced(schedule):
    """As `fit` does in order to build a subclassed model."""
    block = MakesItsDrop(lambda: scheduled(SelectScale, schedule))
    model = Subclassed(block)
    model.compile(optimizer="sgd", loss="mse")
    samples = np.ones((8, *SHAPE[1:]), "float32")
    model.fit(samples, samples, batch_size=4, verbose=0)
    assert int(block.drop.training_calls) == 2


def test_the_count_is_an_integer_in_every_policy():
    """As a bfloat16, 300 would be the last step but one for ever: 300 + 1 is 300 there."""
    schedule = linear_curriculum(0.5, 1000)
    layer = SpatialDropout(retaining_rate=schedule, dtype="mixed_bfloat16", seed=3)
    layer.build(SHAPE)
    assert layer.training_calls.dtype == "int32"
    layer.training_calls.assign(300)
    for step in range(300, 304):
        factor = drawing.as_array(layer(ops.ones(SHAPE), training=True))
        np.testing.assert_allclose(factor[factor > 0], 1 / (1 - 0.0005 * step), rtol=2**-8)
    assert int(layer.training_calls) == 304


def test_a_late_step_beyond_those_looked_at_is_held_to_the_range():
    late = schedules.PiecewiseConstantDecay([2**25], [0.5, -1.0])
    layers = [scheduled(StandardDropout, late), scheduled(SelectScale, late)]
    layers.append(Selectout(retaining_rate=late, top_rate=0.75, seed=3))
    for layer in layers:
        layer.build(SHAPE)
        layer.training_calls.assign(2**25 + 1)
        outputs = drawing.as_array(layer(drawing.maps(SHAPE), training=True))
        assert np.all(np.isfinite(outputs))
    dropped = (outputs == 0)[:, 0].sum(axis=1)
    np.testing.assert_array_equal(dropped, 18)  # 1 - p is held to t.


@pytest.mark.parametrize("suffix", [".keras", ".weights.h5"])
def test_the_count_is_saved_and_a_loaded_layer_goes_on(suffix, method, tmp_path):
    inputs = drawing.maps(SHAPE)

    def build():
        return keras.Sequential([keras.Input(SHAPE[1:]), scheduled(method)])

    model = build()
    for _ in range(5):
        model(inputs, training=True)
    path = tmp_path / f"model{suffix}"
    if suffix == ".keras":
        model.save(path)
        loaded = keras.saving.load_model(path)
    else:
        model.save_weights(path)
        loaded = build()
        loaded.load_weights(path)
    assert int(loaded.layers[0].training_calls) == 5
    for rate in RATES[5:]:
        drawn = drawing.as_array(loaded(inputs, training=True))
        np.testing.assert_array_equal(drawn, drawing.as_array(model(inputs, training=True)))
        check_rate(method, drawn / drawing.as_array(inputs), rate)


def test_a_selecting_layer_counts_through_its_drop():
    layer = Selective(SpatialScale(retaining_rate=SCHEDULE, seed=3), top_rate=0.5)
    ours = SelectScale(retaining_rate=SCHEDULE, seed=3, top_rate=0.5)
    inputs = drawing.maps(SHAPE)
    for _ in range(4):
        np.testing.assert_array_equal(drawing.factor(layer, inputs), drawing.factor(ours, inputs))
    assert int(layer.drop.training_calls) == 4
    assert layer.weights == []
