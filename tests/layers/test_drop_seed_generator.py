"""Seeds and the random state of the layers."""

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_selectscale import Selective, SpatialScale
from keras_selectscale.layers import factors
from keras_selectscale.layers.factors import DropSeedGenerator
from tests.layers import drawing

ROOT = Path(__file__).parents[2]
INPUTS = (4, 3, 24)


@pytest.fixture(params=drawing.LAYERS)
def make(request):
    return drawing.LAYERS[request.param]


def run(layer, calls=3):
    inputs = drawing.maps(INPUTS)
    factors = np.array([drawing.factor(layer, inputs) for _ in range(calls)])
    assert np.any(factors != 1), "nothing was drawn"
    return factors


def test_the_same_seed_gives_the_same_run(make):
    np.testing.assert_array_equal(run(make(seed=7)), run(make(seed=7)))


def test_each_call_draws_anew(make):
    one, two, three = run(make(seed=7))
    assert np.any(one != two) and np.any(two != three) and np.any(one != three)


def test_another_seed_and_no_seed_give_another_run(make):
    runs = [run(make(seed=7)), run(make(seed=8)), run(make()), run(make())]
    for index, one in enumerate(runs):
        for other in runs[:index]:
            assert np.any(one != other)


def test_one_call_makes_layers_without_a_seed_repeatable(make):
    runs = []
    for _ in range(2):
        keras.utils.set_random_seed(11)
        runs.append((run(make()), run(make())))
    np.testing.assert_array_equal(runs[0], runs[1])


def test_inference_leaves_the_state(make):
    one, other = make(seed=7), make(seed=7)
    for _ in range(3):
        one(drawing.maps(INPUTS))
    np.testing.assert_array_equal(run(one), run(other))


def test_the_seed_is_what_was_given(make):
    layer = make(seed=np.int64(7))
    layer = getattr(layer, "drop", layer)
    assert layer.seed == 7 and type(layer.seed) is int
    assert getattr(make(), "drop", make()).seed is None


@pytest.mark.parametrize("seed", [0, 1, 2**31 - 1])
def test_the_ends_of_the_range_are_seeds(make, seed):
    run(make(seed=seed))


@pytest.mark.parametrize(
    ("seed", "error", "message"),
    [
        (-1, ValueError, "an integer from 0 to 2147483647"),
        (2**31, ValueError, "an integer from 0 to 2147483647"),
        (1.0, TypeError, "an integer"),
        ("1", TypeError, "an integer"),
        (True, TypeError, "an integer"),
        (keras.random.SeedGenerator, TypeError, "an integer"),
    ],
)
def test_a_bad_seed_is_an_error(make, seed, error, message):
    with pytest.raises(error, match=f"`seed` must be {message}.*Received: seed="):
        make(seed=seed)


def test_it_gives_the_seeds_of_keras_on_one_device():
    ours, theirs = DropSeedGenerator(5), keras.random.SeedGenerator(5)
    for _ in range(3):
        np.testing.assert_array_equal(
            drawing.as_array(ours.next()), drawing.as_array(theirs.next())
        )


@pytest.mark.parametrize("seed", [3, 2**31 - 1])
def test_the_state_goes_through_a_store(seed):
    generator = DropSeedGenerator(seed)
    generator.next()
    store = {"0": "a weight"}
    factors.save_seed_state(generator, store)
    assert store[factors.STATE_KEY].dtype == np.int64
    other = DropSeedGenerator(1)
    assert factors.load_seed_state(other, store) == {"0": "a weight"}
    np.testing.assert_array_equal(drawing.as_array(other.state.value), [seed, 1])


def test_a_store_without_a_state_leaves_it():
    generator = DropSeedGenerator(3)
    store = {"0": "a weight"}
    assert factors.load_seed_state(generator, store) == store
    np.testing.assert_array_equal(drawing.as_array(generator.state.value), [3, 0])


def test_a_state_of_another_backend_is_taken_bit_by_bit():
    """Keras' own seeds may be 32 bits wide: as int32, the upper half is negative."""
    generator = DropSeedGenerator(3)
    factors.load_seed_state(generator, {factors.STATE_KEY: np.array([2**32 - 5, 9])})
    state = np.asarray(keras.ops.convert_to_numpy(generator.state.value)).astype("uint32")
    np.testing.assert_array_equal(state, [2**32 - 5, 9])


def test_a_selecting_layer_has_the_seed_of_its_drop():
    runs = [
        run(Selective(SpatialScale(retaining_rate=0.2, seed=seed), top_rate=0.5))
        for seed in (1, 1, 2)
    ]
    np.testing.assert_array_equal(runs[0], runs[1])
    assert np.any(runs[0] != runs[2])
    with pytest.raises(ValueError, match="seed"):
        Selective(SpatialScale(retaining_rate=0.2), top_rate=0.5, seed=3)


@pytest.mark.skipif(drawing.BACKEND != "tensorflow", reason="tf.distribute is TensorFlow's")
def test_replicas_draw_different_factors_and_count_steps_once():
    result = subprocess.run(
        [sys.executable, "-m", "tests.layers.replicas"],
        cwd=ROOT,
        env=os.environ,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    report = json.loads(result.stdout.splitlines()[-1])
    fit = report.pop("fit")
    assert set(report) == set(drawing.LAYERS)
    for name, found in report.items():
        assert all(found.values()), (name, found)
    assert fit["finite"]
    assert fit["count"] == 6, "one count for each step, not for each replica or call"
