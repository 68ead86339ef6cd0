"""The one training path: the same steps for every caller, from any step."""

import importlib.util
import json
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest

from keras_selectscale import data
from keras_selectscale.training import device_loop
from keras_selectscale.training.fit import fit
from tests.training.one_path import build

ROOT = pathlib.Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_a_trial_of_a_search_trains_as_a_run_does(tmp_path, backend):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"the package {backend} is not installed")
    done = subprocess.run(
        [sys.executable, "-m", "tests.training.one_path", str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["weights"] == 0 and found["epochs"] == 3
    assert found["loss"] < 1e-6  # A history has six digits.
    # The two evaluate with different batch sizes.
    assert found["test_error"] < 0.2


def trained(images, first_step=0, weights=None, **options):
    keras.utils.set_random_seed(1)
    model = build()
    model.compile(
        keras.optimizers.SGD(0.1),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    if weights is not None:
        model.set_weights(weights)
    options = {"batch_size": 20, "epochs": 2, "seed": 5, **options}
    return model, fit(model, images, first_step=first_step, **options)


class Steps(keras.callbacks.Callback):
    """Keeps the weights after each step."""

    def __init__(self):
        super().__init__()
        self.weights = []

    def on_train_batch_end(self, batch, logs=None):
        if hasattr(self.model, "jax_state_sync"):
            self.model.jax_state_sync()
        self.weights.append(self.model.get_weights())


@pytest.fixture(scope="module")
def images():
    return data.load("digits", train_size=50)


@pytest.mark.parametrize("first_step", [1, 3, 5])
def test_it_starts_at_any_step(images, first_step):
    steps = Steps()
    whole, history = trained(images, callbacks=[steps])
    assert len(steps.weights) == 6 and len(history["loss"]) == 2
    rest, logs = trained(images, first_step, steps.weights[first_step - 1])
    for ours, theirs in zip(rest.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert len(logs["loss"]) == 2 - first_step // 3


def test_a_training_that_is_done_takes_no_step(images):
    start, logs = trained(images, first_step=6)
    assert logs == {}


def test_it_validates_after_each_epoch_without_changing_the_training(images):
    plain, _ = trained(images)
    model, history = trained(images, validate=True)
    assert set(history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert len(history["val_loss"]) == 2
    for ours, theirs in zip(model.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    found = model.evaluate(data.evaluation_batches(images, batch_size=20), verbose=0)
    np.testing.assert_allclose(found[0], history["val_loss"][-1], rtol=1e-5)


@pytest.mark.parametrize("begin", [0, 3, 7, 9, 10])
def test_dispatches_cover_an_epoch(begin):
    found = list(device_loop.dispatches(begin, images=205, batch_size=20, most=4))
    steps = [number for first, count, _ in found for number in range(first, first + count)]
    assert steps == list(range(begin, 11))
    assert [size for *_, size in found] == [20] * (len(found) - 1) + [5]
    assert all((first % 4 == 0 or first in (begin, 10)) and count <= 4 for first, count, _ in found)
