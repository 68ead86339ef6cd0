import io

from rich.console import Console
from rich.progress import Progress

from keras_selectscale.training.epoch_progress import EpochProgress, make_progress


def two_epochs(progress, **options):
    callback = EpochProgress(progress, epochs=2, steps_per_epoch=3, label="dropout", **options)
    callback.on_train_begin()
    done = options.get("first_step", 0)
    for epoch in range(done // 3, 2):
        callback.on_epoch_begin(epoch)
        left = 3 - done % 3 if epoch == done // 3 else 3
        for batch in range(left):
            callback.on_train_batch_end(batch)
        callback.on_epoch_end(epoch, {"loss": 1.25, "accuracy": 0.875})
    return callback


def test_without_a_terminal_there_is_a_line_an_epoch():
    out = io.StringIO()
    progress = Progress(console=Console(file=out), disable=True)
    two_epochs(progress)
    first, second = out.getvalue().splitlines()
    assert first.startswith("dropout  epoch 1/2  loss 1.2500  training error 12.50%")
    assert "epoch 2/2" in second


def test_the_lines_can_be_left_out():
    out = io.StringIO()
    two_epochs(Progress(console=Console(file=out), disable=True), epoch_lines=False)
    assert out.getvalue() == ""


def test_on_a_terminal_the_bar_moves_and_goes():
    out = io.StringIO()
    progress = Progress(console=Console(file=out, force_terminal=True))
    callback = two_epochs(progress, first_step=4)
    (task,) = progress.tasks
    assert (task.completed, task.total) == (6, 6)
    assert "epoch 2/2" in task.description
    callback.on_train_end()
    assert progress.tasks == []


def test_the_display_is_off_where_there_is_no_terminal():
    assert make_progress().disable
