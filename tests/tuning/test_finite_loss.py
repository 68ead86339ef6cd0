import math

import pytest

from keras_selectscale.tuning.trials.callbacks import FiniteLoss


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_it_ends_the_run(loss, capsys):
    callback = FiniteLoss()
    callback.on_epoch_begin(2)
    callback.on_train_batch_end(0, {"loss": 3.0})
    with pytest.raises(FloatingPointError, match=f"the loss is {loss} in epoch 3"):
        callback.on_train_batch_end(1, {"loss": loss})
    assert capsys.readouterr().out == ""
