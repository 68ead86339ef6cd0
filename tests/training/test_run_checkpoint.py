import keras
import numpy as np
import pytest

from keras_selectscale.training import DamagedRunError, RunFolder
from keras_selectscale.training.run_checkpoint import RunCheckpoint


@pytest.fixture
def model():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.5), "mse")
    model.train_on_batch(np.ones((4, 2)), np.ones((4, 1)))
    return model


@pytest.fixture
def run(tmp_path):
    run = RunFolder(tmp_path / "run")
    run.open({"epochs": 3}, {})
    return run


def checkpoint(run, model, **options):
    callback = RunCheckpoint(run, epochs=3, **options)
    callback.set_model(model)
    return callback


def test_each_epoch_writes_a_checkpoint_and_a_row(run, model):
    callback = checkpoint(run, model)
    callback.on_epoch_end(0, {"loss": 2.0, "accuracy": 0.5})
    assert run.read_history() == [
        {"epoch": "1", "loss": "2.0", "accuracy": "0.5", "learning_rate": "0.5"}
    ]
    loaded = keras.models.load_model(run.checkpoint_path)
    np.testing.assert_array_equal(loaded.get_weights()[0], model.get_weights()[0])
    assert int(loaded.optimizer.iterations) == 1


def test_epochs_that_come_soon_are_passed_over_but_for_the_last(run, model):
    callback = checkpoint(run, model, every_seconds=1e9)
    for epoch in range(2):
        callback.on_epoch_end(epoch, {"loss": 2.0, "accuracy": 0.5})
        assert not run.checkpoint_path.exists() and run.read_history() == []
    callback.on_epoch_end(2, {"loss": 2.0, "accuracy": 0.5})
    assert run.checkpoint_path.exists()
    assert [row["epoch"] for row in run.read_history()] == ["1", "2", "3"]


def test_rows_past_the_checkpoint_are_forgotten(run, model):
    run.write_history([{"epoch": n, "loss": n, "accuracy": 0, "learning_rate": 1} for n in (1, 2)])
    callback = checkpoint(run, model, first_epoch=1)
    callback.on_epoch_end(1, {"loss": 9.0, "accuracy": 0.5})
    assert [(row["epoch"], row["loss"]) for row in run.read_history()] == [("1", "1"), ("2", "9.0")]


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_stops_and_keeps_what_is_there(run, model, loss):
    callback = checkpoint(run, model)
    callback.on_epoch_end(0, {"loss": 2.0, "accuracy": 0.5})
    before = run.checkpoint_path.read_bytes()
    with pytest.raises(FloatingPointError, match=f"loss is {loss} in epoch 2"):
        callback.on_epoch_end(1, {"loss": loss, "accuracy": 0.5})
    assert run.checkpoint_path.read_bytes() == before and len(run.read_history()) == 1


def test_a_failed_save_leaves_the_last_checkpoint(run, model, monkeypatch):
    callback = checkpoint(run, model)
    callback.on_epoch_end(0, {"loss": 2.0, "accuracy": 0.5})
    before = run.checkpoint_path.read_bytes()

    def fail(path):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(model, "save", fail)
    with pytest.raises(OSError, match="No space"):
        callback.on_epoch_end(1, {"loss": 1.0, "accuracy": 0.5})
    assert run.checkpoint_path.read_bytes() == before


def test_a_history_shorter_than_the_checkpoint_is_damaged(run, model):
    with pytest.raises(DamagedRunError, match="history.csv is damaged: it has 0 rows"):
        checkpoint(run, model, first_epoch=2)
