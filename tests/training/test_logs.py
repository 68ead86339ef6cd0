import platform
import re

import keras
import pytest

from keras_selectscale.training import logs

accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")


@pytest.fixture
def model():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.5), "mse")
    return model


def written(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_the_epochs_are_read_back_and_no_name_has_the_host(tmp_path, model):
    for epochs in (range(2), range(2, 3)):  # The second part continues the run.
        log = logs.EpochLog(tmp_path)
        log.set_model(model)
        for epoch in epochs:
            log.on_epoch_end(epoch, {"loss": 2.0 - epoch})
        log.on_train_end()
    found = accumulators.EventAccumulator(str(tmp_path / "train")).Reload()
    assert set(found.Tags()["tensors"]) == {"epoch_loss", "epoch_learning_rate"}
    events = found.Tensors("epoch_loss")
    assert [event.step for event in events] == [0, 1, 2]
    assert [event.tensor_proto.float_val[0] for event in events] == [2.0, 1.0, 0.0]
    names = written(tmp_path)
    assert len(names) == 2 and platform.node() not in "".join(names)
    assert all(re.fullmatch(r"events\.out\.tfevents\.\d{10}\.\d", name) for name in names)


def test_a_log_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "train").write_text("")
    with pytest.raises(OSError, match="train cannot be written: "):
        logs.EventFile(tmp_path / "train")


def test_a_full_disk_is_named(tmp_path, monkeypatch):
    file = logs.EventFile(tmp_path)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(file._records, "write", full)
    with pytest.raises(OSError, match="cannot be written: No space left on device"):
        file.scalars({"loss": 1.0}, 0)
