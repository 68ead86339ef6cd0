import copy
import threading

import keras
import numpy as np
import pytest

from keras_selectscale.training.background import BackgroundWriter
from keras_selectscale.training.checkpoints import RunState
from keras_selectscale.training.run_checkpoint import RunCheckpoint, assign_values, values_of
from keras_selectscale.training.run_folder import HistoryRow
from keras_selectscale.training.stop_check import CONTINUE, SAVE

LOGS = {"loss": 2.0, "accuracy": 0.5}


@pytest.fixture
def model():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.5), "mse", metrics=["accuracy"])
    model.train_on_batch(np.ones((4, 2)), np.ones((4, 1)))
    return model


class Written(list):
    """Takes the states in place of a file."""

    def __call__(self, model, state):
        self.append(copy.deepcopy(state))


def checkpoint(model, state=None, **options):
    written = Written()
    options = {"epochs": 3, "steps_per_epoch": 4, **options}
    callback = RunCheckpoint(state or RunState(), written, **options)
    callback.set_model(model)
    callback.on_train_begin()
    return callback, written


def run_epoch(callback, epoch, steps=4):
    callback.on_epoch_begin(epoch)
    for batch in range(steps):
        callback.on_train_batch_end(batch, LOGS)
    callback.on_epoch_end(epoch, LOGS)


def test_every_step_has_a_checkpoint_where_no_time_must_pass(model):
    callback, written = checkpoint(model)
    for epoch in range(3):
        run_epoch(callback, epoch)
    assert [state.step for state in written] == list(range(1, 13))
    assert [len(state.rows) for state in written] == [0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3]
    # The end of an epoch has a row and no metrics; its middle has the metrics' sums.
    assert [bool(state.metrics) for state in written] == [True, True, True, False] * 3
    assert written[-1].rows == [HistoryRow(epoch, 2.0, 0.5, 0.5) for epoch in (1, 2, 3)]


def test_where_time_must_pass_the_last_epoch_alone_has_one(model):
    callback, written = checkpoint(model, every_seconds=1e9)
    for epoch in range(3):
        run_epoch(callback, epoch)
    assert [state.step for state in written] == [12]


def test_all_processes_write_where_the_main_one_says_so(model):
    answers = iter([CONTINUE, SAVE, CONTINUE, SAVE, CONTINUE, CONTINUE])
    callback, written = checkpoint(model, epochs=9, agree=lambda own: next(answers))
    run_epoch(callback, 0)
    callback.on_epoch_begin(1)
    callback.on_train_batch_end(0, LOGS)
    assert [state.step for state in written] == [2, 4]


def test_the_metrics_go_on_from_the_middle_of_an_epoch(model):
    metrics = [[float(number)] for number in range(3, 3 + len(model.metrics_variables))]
    state = RunState(step=6, rows=[HistoryRow(1, 2.0, 0.5, 0.5)], metrics=metrics)
    callback, written = checkpoint(model, state)
    model.reset_metrics()
    callback.on_epoch_begin(1)
    values = [float(keras.ops.convert_to_numpy(v.value)) for v in model.metrics_variables]
    assert [[value] for value in values] == metrics and len(metrics) == 4
    callback.on_train_batch_end(0, LOGS)
    assert written[0].step == 7 and written[0].metrics == metrics
    callback.on_train_batch_end(1, LOGS)
    callback.on_epoch_end(1, LOGS)
    model.reset_metrics()
    callback.on_epoch_begin(2)
    assert not any(float(keras.ops.convert_to_numpy(v.value)) for v in model.metrics_variables)


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_stops_with_its_step(model, loss):
    callback, written = checkpoint(model)
    run_epoch(callback, 0)
    callback.on_epoch_begin(1)
    callback.on_train_batch_end(0, LOGS)
    with pytest.raises(FloatingPointError, match=rf"loss is {loss} after step 6 \(in epoch 2 of 3"):
        callback.on_train_batch_end(1, {"loss": loss, "accuracy": 0.5})
    assert [state.step for state in written] == [1, 2, 3, 4, 5]


def test_a_weight_that_is_not_finite_is_not_written(model):
    callback, written = checkpoint(model)
    callback.on_epoch_begin(0)
    callback.on_train_batch_end(0, LOGS)
    model.layers[0].bias.assign([float("nan")])
    with pytest.raises(FloatingPointError, match="bias is not finite after step 2"):
        callback.on_train_batch_end(1, LOGS)
    assert [state.step for state in written] == [1]


class SlowDisk(list):
    """Takes the values, as a disk that writes nothing until it is allowed to."""

    def __init__(self):
        super().__init__()
        self.allowed = threading.Event()

    def __call__(self, model, state):
        assert self.allowed.wait(60)
        self.append((state.step, state.metrics, [w.numpy() for w in model.weights]))


def change(model, number):
    for weight in model.weights:
        weight.assign(weight * 0 + number)


def test_a_thread_writes_the_values_of_its_step(model):
    disk = SlowDisk()
    with BackgroundWriter() as writer:
        callback = RunCheckpoint(
            RunState(), disk, epochs=3, steps_per_epoch=4, every_seconds=None, writer=writer
        )
        callback.set_model(model)
        callback.on_train_begin()
        callback.on_epoch_begin(0)
        change(model, 1)
        callback._next = 0.0
        callback.on_train_batch_end(0, LOGS)
        # Steps go on while the disk is slow, and none of them waits for it.
        model.metrics_variables[0].assign(7.0)
        for batch in (1, 2):
            change(model, 2)
            callback._next = 0.0
            callback.on_train_batch_end(batch, LOGS)
        assert writer.is_busy and not disk
        disk.allowed.set()
        # The last checkpoint waits for the one before, and is complete when `write` returns.
        change(model, 3)
        callback.write()
        assert [step for step, *_ in disk] == [1, 3]
    assert [metrics[0] == [7.0] for _, metrics, _ in disk if metrics] == [False]
    for (_, _, values), number in zip(disk, (1, 3), strict=True):
        assert all((value == number).all() for value in values) and len(values) == 2


@pytest.mark.parametrize("error", [OSError("the disk is full"), FloatingPointError("not finite")])
def test_an_error_of_the_thread_ends_the_training(model, error):
    def fail(model, state):
        raise error

    with pytest.raises(type(error), match=str(error)), BackgroundWriter() as writer:
        callback, _ = checkpoint(model, writer=writer)
        callback._write = fail
        for epoch in range(3):
            run_epoch(callback, epoch)
    assert callback.state.step < 12
    # An error that is on its way is not replaced.
    with pytest.raises(KeyError), BackgroundWriter() as writer:
        writer.start(lambda: fail(model, None))
        raise KeyError


def test_a_large_checkpoint_is_written_less_often(model):
    callback, _ = checkpoint(model, every_seconds=None)
    assert callback._wait(0) == callback._wait(10**6) == 5.0
    assert callback._wait(189 * 10**6) == pytest.approx(68, abs=1)  # 10 GB per hour.
    callback._writing = 10.0
    assert callback._wait(189 * 10**6) == 200.0
    explicit, _ = checkpoint(model, every_seconds=3.0)
    assert explicit._wait(10**12) == 3.0


def test_the_seconds_add_up_over_calls(model):
    callback, written = checkpoint(
        model, RunState(step=4, rows=[HistoryRow(1, 2.0, 0.5, 0.5)], seconds=50.0)
    )
    run_epoch(callback, 1)
    assert 50.0 <= written[-1].seconds < 60.0


def variables():
    return [
        keras.Variable(np.float32(0.1), trainable=False),
        keras.Variable(np.arange(3, dtype="float32"), trainable=False),
    ]


def numbers(given):
    return [keras.ops.convert_to_numpy(variable.value).tolist() for variable in given]


def test_values_come_back_to_the_bit():
    first = variables()
    found = values_of(first)
    assert found == [[float(np.float32(0.1))], [0.0, 1.0, 2.0]]
    others = variables()
    for variable in others:
        variable.assign(variable * 0)
    assign_values(others, found)
    assert numbers(others) == numbers(first)


def test_those_of_more_replicas_are_added_up():
    others = variables()
    assign_values(others, [[1.0, 2.0], [1.0, 2.0, 3.0, 10.0, 20.0, 30.0]])
    assert numbers(others) == [3.0, [11.0, 22.0, 33.0]]
