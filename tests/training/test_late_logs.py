"""What the host waits for during a training; on JAX in `layers/test_backends.py`."""

import keras
import numpy as np
import pytest

from keras_selectscale import data
from keras_selectscale.training import Devices, checkpoints
from keras_selectscale.training.background import BackgroundWriter
from keras_selectscale.training.checkpoints import RunState
from keras_selectscale.training.fit import fit
from keras_selectscale.training.late_logs import LateCallbackList
from keras_selectscale.training.run_checkpoint import RunCheckpoint
from tests.training.one_path import build

STEPS, EPOCHS = 10, 2


class Late(keras.callbacks.Callback):
    """Writes down when it is called, and with what."""

    late_logs = True

    def __init__(self):
        super().__init__()
        self.seen = []

    def on_train_batch_end(self, batch, logs=None):
        self.seen.append((batch, logs))

    def on_late_logs(self, batch, logs):
        self.seen.append((batch, logs["loss"]))


class Reads(keras.callbacks.Callback):
    """A callback as users write it."""

    def __init__(self):
        super().__init__()
        self.losses = []

    def on_train_batch_end(self, batch, logs=None):
        self.losses.append((batch, logs["loss"]))


def rows(*losses):
    return {"loss": keras.ops.convert_to_tensor(losses)}


def test_the_logs_of_a_step_are_read_after_the_next_one():
    late = Late()
    listeners = LateCallbackList([late], model=build(), epochs=1, steps=6)
    listeners.on_train_begin()
    listeners.on_train_batch_end(1, rows(4.0, 3.0))
    assert late.seen == [(1, {})]
    # The row of a step that diverges is the one that counts, with its number.
    listeners.on_train_batch_end(3, rows(2.0, 1.0))
    assert late.seen[1:] == [(1, 3.0), (3, {})]
    listeners.on_train_batch_end(5, rows(float("nan"), float("nan")))
    listeners.on_epoch_end(0, {"loss": 1.0})
    assert late.seen[3:6] == [(3, 1.0), (5, {}), (4, pytest.approx(float("nan"), nan_ok=True))]


@pytest.mark.parametrize("wrap", [lambda c: c, lambda c: keras.callbacks.LambdaCallback(
    on_train_batch_end=c.on_train_batch_end)])  # fmt: skip
def test_a_callback_that_reads_logs_has_them_at_once(wrap):
    reads = Reads()
    listeners = LateCallbackList([Late(), wrap(reads)], model=None, epochs=1, steps=6)
    assert listeners.at_once
    listeners.on_train_batch_end(1, rows(4.0, 3.0))
    listeners.on_train_batch_end(2, {"loss": keras.ops.convert_to_tensor(2.0)})
    assert reads.losses == [(1, 3.0), (2, 2.0)]


class Reading(list):
    """The numbers of dispatches after which the host has read an array of the device."""

    dispatches = 0


@pytest.fixture
def reading(monkeypatch):
    """Writes down each time that the host waits for an array of JAX's device."""
    if keras.backend.backend() != "jax":
        pytest.skip("the device loop is JAX's")
    from jax._src.array import ArrayImpl

    from keras_selectscale.training import device_loop

    found, value, dispatch = Reading(), ArrayImpl._value, device_loop._Steps.dispatch

    def read(self):
        if self._npy_value is None:
            found.append((found.dispatches, self.shape))
        return value.fget(self)

    def convert(x):
        # On a CPU, NumPy reads the memory of an array without asking it.
        if isinstance(x, ArrayImpl):
            found.append((found.dispatches, x.shape))
        return np.asarray(x)

    def count(self, *arguments):
        found.dispatches += 1
        return dispatch(self, *arguments)

    monkeypatch.setattr(keras.ops, "convert_to_numpy", convert)
    monkeypatch.setattr(ArrayImpl, "_value", property(read))
    monkeypatch.setattr(device_loop._Steps, "dispatch", count)
    return found


def train(callbacks, per_dispatch=2, **options):
    keras.utils.set_random_seed(1)
    model = build()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1), loss, metrics=["accuracy"])
    images = data.load("digits", train_size=20 * STEPS)
    devices = Devices(steps_per_dispatch=per_dispatch)
    fit(model, images, batch_size=20, epochs=EPOCHS, seed=5, devices=devices, callbacks=callbacks,
        **options)  # fmt: skip
    return model


def within(reading):
    """Returns the reads before the last dispatch of an epoch, which make the device wait."""
    return [each for each in reading if each[0] % (STEPS // 2)]


def test_without_callbacks_the_host_waits_once_per_epoch(reading):
    train([])
    assert reading.dispatches == EPOCHS * STEPS // 2
    assert within(reading) == []
    # The sums behind the loss and the accuracy.
    assert len(reading) <= 4 * EPOCHS


def test_the_callbacks_of_a_run_read_one_step_behind(reading, tmp_path):
    state = RunState()
    with BackgroundWriter() as writer:
        check = RunCheckpoint(
            state, lambda model, state: None, epochs=EPOCHS, steps_per_epoch=STEPS,
            every_seconds=1e9, writer=writer,
        )  # fmt: skip
        train([], stop_check=check)
    # Each read is of the dispatch before the current one: two logs, of two steps each.
    assert within(reading) == [(n, (2,)) for n in range(10) if n % 5 > 1 for _ in range(2)]


def test_a_callback_that_reads_logs_waits_for_each_step(reading):
    train([Reads()])
    assert len(within(reading)) == EPOCHS * 2 * (STEPS // 2 - 1)


def test_a_snapshot_does_not_wait_and_is_that_of_its_step(reading, tmp_path):
    """The thread reads; the main thread goes on, and ends with the same weights."""
    plain = train([])
    reading.clear()
    saved = []

    def write(model, state):
        checkpoints.prepare_saving()
        model.save(tmp_path / f"{state.step}.keras")
        saved.append(state.step)

    with BackgroundWriter() as writer:
        check = RunCheckpoint(
            RunState(), write, epochs=EPOCHS, steps_per_epoch=STEPS, writer=writer
        )
        model = train([], stop_check=check)
    assert saved == list(range(2, 21, 2))
    for ours, theirs in zip(model.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    # One dispatch less ends where the checkpoint was.
    before = keras.models.load_model(tmp_path / "18.keras")
    rest = train_from(before, 18)
    for ours, theirs in zip(rest.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def train_from(model, step):
    images = data.load("digits", train_size=20 * STEPS)
    fit(model, images, batch_size=20, epochs=EPOCHS, seed=5, first_step=step,
        devices=Devices(steps_per_dispatch=2))  # fmt: skip
    return model


def test_everything_is_compiled_before_the_first_step(reading):
    import jax
    from jax import monitoring

    compiled = []

    class Begin(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            compiled.clear() if not reading.dispatches else None

    def listen(event, seconds, **about):
        if event.endswith("backend_compile_duration"):
            compiled.append(about.get("fun_name"))

    monitoring.register_event_duration_secs_listener(listen)
    train([Begin()], per_dispatch=3)  # 3 + 3 + 3 + 1 steps.
    names = {name for name in compiled if name}
    assert not {name for name in names if "train_step" in name or "make" in name}
    assert jax.default_backend() == "cpu"
