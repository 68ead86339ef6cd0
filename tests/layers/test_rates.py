"""Validation of rates, as the layers show it."""

import fractions
import math

import keras
import ml_dtypes
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
    linear_curriculum,
)
from keras_selectscale.layers import rates, selectout
from tests.layers import drawing

DIVIDING = [StandardDropout, SpatialDropout, Selectout]
SCALING = [SpatialScale, SelectScale]
SELECTING = [Selectout, SelectScale]
WRONG_TYPES = [None, "0.5", True, False, [0.5], 0.5j, np.array(0.5), np.bool_(True), object()]


def make(layer, **arguments):
    if layer in SELECTING:
        arguments = {"top_rate": 1.0, **arguments}
    return layer(**{"retaining_rate": 0.9, **arguments})


class Dipping(schedules.LearningRateSchedule):
    """A schedule that branches on its step in Python, so that it takes one step at a time."""

    def __init__(self, low, at=2):
        self.low = low
        self.at = at

    def __call__(self, step):
        return self.low if int(step) >= self.at else 1.0

    def get_config(self):
        return {"low": self.low, "at": self.at}


@pytest.mark.parametrize("layer", DIVIDING + SCALING)
@pytest.mark.parametrize("value", WRONG_TYPES + [schedules.PolynomialDecay])
def test_a_retaining_rate_that_is_no_number(layer, value):
    with pytest.raises(TypeError, match=r"`retaining_rate` must be a number or a .*Received: ret"):
        make(layer, retaining_rate=value)


@pytest.mark.parametrize("layer", DIVIDING + SCALING)
@pytest.mark.parametrize("value", [-0.1, 1.0001, 2, -1])
def test_a_retaining_rate_out_of_range(layer, value):
    with pytest.raises(ValueError, match=rf"`retaining_rate` must be .*retaining_rate={value}$"):
        make(layer, retaining_rate=value)


@pytest.mark.parametrize("layer", DIVIDING + SCALING)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, np.float32("nan")])
def test_a_retaining_rate_that_is_not_finite(layer, value):
    with pytest.raises(ValueError, match=r"`retaining_rate` must be finite.*(nan|inf)"):
        make(layer, retaining_rate=value)


@pytest.mark.parametrize("layer", DIVIDING)
@pytest.mark.parametrize("value", [0, 0.0, -0.0])
def test_no_method_divides_by_zero(layer, value):
    with pytest.raises(ValueError, match=r"in \(0, 1\], because the method divides by it.*0"):
        make(layer, retaining_rate=value)


@pytest.mark.parametrize("layer", SCALING)
def test_the_scales_take_zero(layer):
    assert make(layer, retaining_rate=0).retaining_rate == 0.0


@pytest.mark.parametrize("layer", DIVIDING + SCALING)
@pytest.mark.parametrize("value", [1, np.float32(0.5), np.float64(0.5), fractions.Fraction(1, 2)])
def test_any_real_number_becomes_a_float(layer, value):
    assert type(make(layer, retaining_rate=value).retaining_rate) is float


@pytest.mark.parametrize("layer", [*SELECTING, Selective])
@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        *[(value, TypeError, "must be a number") for value in WRONG_TYPES],
        *[(value, ValueError, r"must be in \(0, 1\]") for value in (0, 0.0, -0.2, 1.01)],
        *[(value, ValueError, "must be finite") for value in (math.nan, math.inf)],
    ],
)
def test_a_bad_top_rate(layer, value, error, message):
    with pytest.raises(error, match=rf"`top_rate` {message}.*Received: top_rate="):
        if layer is Selective:
            layer(SpatialScale(retaining_rate=0.5), top_rate=value)
        else:
            layer(top_rate=value, retaining_rate=1.0)


@pytest.mark.parametrize("layer", DIVIDING + SCALING)
@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        (
            schedules.PolynomialDecay(1.0, 10, -0.1),
            "PolynomialDecay, which returns -0.1 at step 10",
        ),
        (schedules.PolynomialDecay(1.5, 10, 0.9), "which returns 1.5 at step 0"),
        (schedules.PiecewiseConstantDecay([3], [0.9, 1.2]), "which returns 1.2 at step 4"),
        (schedules.PiecewiseConstantDecay([2_000_000], [0.9, 1.2]), "which returns 1.2 at step 2"),
        (schedules.ExponentialDecay(1.0, 10, 1.1), "which returns 1.00958 at step 1"),
        (
            schedules.CosineDecay(0.5, 10, warmup_target=1.2, warmup_steps=4),
            "CosineDecay, which returns 1.025 at step 3",
        ),
        (Dipping(-1.0), "Dipping, which returns -1 at step 2"),
        (Dipping(math.nan), "Dipping, which returns nan at step 2"),
    ],
)
def test_a_schedule_that_leaves_the_range(layer, schedule, message):
    with pytest.raises(ValueError, match=rf"`retaining_rate` must stay in .*{message}"):
        make(layer, retaining_rate=schedule)


@pytest.mark.parametrize("layer", DIVIDING)
def test_a_schedule_that_ends_at_zero_where_the_method_divides(layer):
    with pytest.raises(ValueError, match=r"must stay in \(0, 1\] .* returns 0 at step 100"):
        make(layer, retaining_rate=linear_curriculum(0.0, 100))


@pytest.mark.parametrize("layer", SCALING)
@pytest.mark.parametrize(
    "schedule",
    [linear_curriculum(0.0, 100), schedules.CosineDecay(1.0, 10), Dipping(0.0)],
)
def test_a_schedule_that_ends_at_zero_where_it_does_not(layer, schedule):
    assert make(layer, retaining_rate=schedule).retaining_rate is schedule


@pytest.mark.parametrize("schedule", [linear_curriculum(0.7, 100), Dipping(0.7)])
def test_a_schedule_of_selectout_that_drops_more_than_the_candidates(schedule):
    with pytest.raises(ValueError, match=r"top_rate=0\.2, retaining_rate=0\.[78].* at step \d+ of"):
        Selectout(top_rate=0.2, retaining_rate=schedule)
    Selectout(top_rate=0.3, retaining_rate=schedule)


@pytest.mark.parametrize("layer", DIVIDING)
@pytest.mark.parametrize("rate", [1e-6, schedules.PolynomialDecay(1.0, 10, 1e-6)])
def test_an_inverse_that_the_dtype_cannot_hold(layer, rate):
    make(layer, retaining_rate=rate, dtype="float32")
    with pytest.raises(ValueError, match=r"`retaining_rate` must be at least .* in float16"):
        make(layer, retaining_rate=rate, dtype="float16")


@pytest.mark.parametrize("schedule", [linear_curriculum(0.25, 1000), Dipping(0.25, at=100)])
def test_the_lowest_rate_of_a_schedule_is_found(schedule):
    """Both where all steps are looked at in one call and where each is by itself."""
    with pytest.raises(ValueError, match=r"retaining_rate=0\.25 at step \d+"):
        selectout.check_enough_candidates(0.7, schedule)
    selectout.check_enough_candidates(0.75, schedule)


def test_the_smallest_divisor_has_a_finite_inverse():
    for dtype in ("float16", "bfloat16", "float32", "float64"):
        inverse = np.float32(1) / np.float32(rates.SMALLEST_DIVISORS[dtype])
        assert np.isfinite(inverse.astype(ml_dtypes.finfo(dtype).dtype))


@pytest.mark.parametrize("schedule", [linear_curriculum(0.25, 100), Dipping(0.25)])
def test_a_schedule_is_probed_while_a_graph_is_traced_or_without_values(schedule):
    """A layer may be created in `build`, which Keras calls within a trace."""
    probed = []

    def probe(inputs):
        assert rates.as_retaining_rate(schedule, "float32") is schedule
        with pytest.raises(ValueError, match=r"retaining_rate=0\.25 at step \d+"):
            selectout.check_enough_candidates(0.7, schedule)
        probed.append(inputs)
        return inputs

    with keras.StatelessScope(), keras.SymbolicScope(), keras.device("cpu"):
        probe(None)
    if drawing.BACKEND == "tensorflow":
        import tensorflow as tf

        tf.function(probe)(tf.ones(()))
        tf.function(probe, jit_compile=True)(tf.ones(()))
        loop = tf.function(lambda x: tf.while_loop(lambda x: x < 1, lambda x: probe(x) + 1, [x]))
        loop(tf.zeros(()))
    elif drawing.BACKEND == "jax":
        import jax

        jax.jit(probe)(1.0)
        jax.vmap(jax.grad(probe))(ops.ones(3))
        jax.eval_shape(probe, 1.0)
    else:
        import torch

        with torch.device("meta"), keras.device("meta"), torch.inference_mode():
            probe(None)
        torch.func.vmap(torch.func.grad(probe))(torch.ones(3))
    assert len(probed) >= 3
