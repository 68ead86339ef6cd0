import threading

import keras
import numpy as np
import pytest

from keras_selectscale.benchmarking import loop_work
from keras_selectscale.benchmarking.loop_work import LoopWork
from keras_selectscale.training.profiling import StepTrace, trace


@pytest.fixture
def model():
    model = keras.Sequential(
        [keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(4)]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1), loss, metrics=["accuracy"])
    return model


@pytest.mark.parametrize("callbacks", [False, True])
def test_a_call_takes_the_steps_of_an_epoch(model, monkeypatch, callbacks):
    monkeypatch.setattr(loop_work, "STEPS", 3)
    work = LoopWork(model, 2, 0, callbacks=callbacks)
    try:
        for calls in (1, 2, 3):
            work()
            assert int(keras.ops.convert_to_numpy(model.optimizer.iterations.value)) == 3 * calls
    finally:
        work.close()
    assert "training" not in {thread.name for thread in threading.enumerate()}


def test_an_error_is_raised_where_the_work_is_called(model):
    work = LoopWork(model, -1, 0, callbacks=False)
    with pytest.raises(ValueError):
        work()
    work.close()


def test_a_training_is_traced(model, tmp_path):
    images, labels = np.zeros((60, 8, 8, 3), "float32"), np.zeros(60, "int32")
    model.fit(images, labels, batch_size=2, verbose=0, callbacks=[StepTrace(tmp_path / "run")])
    files = [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
    assert files and sum(path.stat().st_size for path in files) > 1000
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="cannot be written"), trace(tmp_path / "file" / "run"):
        pass
