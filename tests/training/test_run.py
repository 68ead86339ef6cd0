import dataclasses
import io
import signal

import keras
import numpy as np
import pytest
from rich.progress import Progress

from keras_selectscale import FeatureDrop, data, stopping
from keras_selectscale.console import Console
from keras_selectscale.training import (
    DamagedRunError,
    Recipe,
    RunFolder,
    build_model,
    evaluate,
    train,
)
from keras_selectscale.training.run_result import PredictionCounts
from tests.models import tiny

pytestmark = pytest.mark.usefixtures("tiny_network")

RECIPE = Recipe(
    network="tiny",
    dataset="digits",
    drop="selectout",
    curriculum="linear",
    epochs=3,
    batch_size=64,
    train_size=200,
    seed=3,
)


class Killed(Exception):
    """Stands for a run that ends in the middle."""


@pytest.fixture(scope="module")
def images():
    return data.load("digits", train_size=200, seed=3)


def run(recipe, path, images, **options):
    folder = RunFolder(path)
    folder.open(recipe.as_json(), {})
    return folder, train(recipe, folder, images, tensorboard=False, **options)


def states(path):
    """Returns everything that a checkpoint holds, the random states of the drops included."""
    model = keras.models.load_model(path)
    values = [keras.ops.convert_to_numpy(w.value) for w in model.weights]
    values += [keras.ops.convert_to_numpy(v.value) for v in model.optimizer.variables]
    drops = [layer for layer in model.layers if isinstance(layer, FeatureDrop)]
    assert len(drops) == tiny.SITES
    return values + [keras.ops.convert_to_numpy(d.seed_generator.state.value) for d in drops]


@pytest.fixture(scope="module")
def whole(tmp_path_factory, images, tiny_network):
    return run(RECIPE, tmp_path_factory.mktemp("runs") / "whole", images)


def test_a_run_leaves_its_folder_complete(whole):
    folder, result = whole
    rows = folder.read_history()
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert all(0 <= float(row["accuracy"]) <= 1 for row in rows)
    assert folder.read_result() == result
    assert set(result) == {
        "test_error",
        "test_loss",
        "train_error",
        "parameters",
        "epochs",
        "seconds",
        "startup_seconds",
        "images_per_second",
        "test_class_errors",
        "test_nll",
        "test_ece",
        "ece_bins",
    }
    assert 0 <= result["test_error"] <= 100 and result["epochs"] == 3
    assert 0 < result["startup_seconds"] < result["seconds"]
    # Both times are rounded to hundredths.
    rest, rounding = result["seconds"] - result["startup_seconds"], 0.0101
    assert result["images_per_second"] >= 3 * 200 / (rest + rounding)
    assert result["images_per_second"] * (rest - rounding) <= 3 * 200
    assert not [path for path in folder.path.iterdir() if path.name.startswith(".")]


def test_it_learns(tmp_path, images):
    recipe = dataclasses.replace(
        RECIPE,
        network="resnet-8",
        drop="none",
        curriculum="none",
        top_rate=None,
        retaining_rate=None,
        score=None,
        epochs=8,
        batch_size=32,
    )
    result = run(recipe, tmp_path / "run", images)[1]
    assert result["train_error"] < 20 < 90
    assert result["test_error"] < 40


def test_the_checkpoint_is_the_model_that_was_tested(whole, images):
    folder, result = whole
    found = evaluate(keras.models.load_model(folder.checkpoint_path), images)
    assert found["error"] == result["test_error"]
    assert found["loss"] == pytest.approx(result["test_loss"], rel=1e-6)


def test_class_errors_and_calibration_are_those_of_numpy(whole, images):
    folder, result = whole
    model = keras.models.load_model(folder.checkpoint_path)
    x = (images.test_images / 255.0 - images.mean) / images.std
    logits = keras.ops.convert_to_numpy(model.predict(x, verbose=0)).astype("float64")
    chances = np.exp(logits - logits.max(-1, keepdims=True))
    chances /= chances.sum(-1, keepdims=True)
    labels, right = images.test_labels, logits.argmax(-1) == images.test_labels
    errors = [100 * np.mean(~right[labels == label]) for label in range(10)]
    np.testing.assert_allclose(result["test_class_errors"], errors, rtol=1e-6)
    nll = -np.log(chances[np.arange(len(labels)), labels]).mean()
    assert result["test_nll"] == pytest.approx(nll, rel=1e-4)
    confidence, ece = chances.max(-1), 0.0
    for low in np.arange(15) / 15:
        held = (confidence > low) & (confidence <= low + 1 / 15)
        if held.any():
            ece += held.mean() * abs(confidence[held].mean() - right[held].mean())
    assert result["ece_bins"] == 15 and result["test_ece"] == pytest.approx(ece, abs=2e-3)


def test_a_run_knows_its_images_and_does_not_continue_with_others(whole, tmp_path, images):
    found = whole[0].read_config()["images"]
    assert found == {split: images.digest(split) for split in ("train", "test")}
    assert (found["train"]["images"], found["test"]["images"]) == (200, 899)
    folder = RunFolder(tmp_path / "run")
    with pytest.raises(FileNotFoundError, match=r"call `run\.open\(recipe\)` first"):
        train(RECIPE, folder, images, progress=None)
    folder.open(RECIPE, {})
    folder.record_images(found)
    folder.record_images(found)
    other = data.load("digits", train_size=200, seed=4)
    with pytest.raises(ValueError, match="`images` must be those .* other train images"):
        train(RECIPE, folder, other, tensorboard=False, progress=None)


def test_a_class_without_a_test_image_has_no_error():
    counts = PredictionCounts(3, bins=2)
    counts.update_state(np.array([0, 0, 2]), np.array([[9.0, 0, 0], [0, 9, 0], [0, 0, 9]]))
    counts.update_state(np.array([[2]]), np.array([[0, 9.0, 0]], "float16"))
    assert counts.class_errors() == [50.0, None, 50.0]
    assert float(counts.result()) == 0.5
    assert counts.calibration_error() == pytest.approx(0.5, abs=1e-3)


def test_one_recipe_is_one_run(whole, tmp_path, images):
    again, _ = run(RECIPE, tmp_path / "again", images)
    for ours, theirs in zip(
        states(again.checkpoint_path), states(whole[0].checkpoint_path), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)
    assert again.read_history() == whole[0].read_history()


def test_another_seed_is_another_run(whole, tmp_path, images):
    other, _ = run(dataclasses.replace(RECIPE, seed=4, epochs=1), tmp_path / "other", images)
    assert other.read_history()[0] != whole[0].read_history()[0]


class Kill(keras.callbacks.Callback):
    """Ends the run in the middle of its second epoch."""

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self.epoch, batch) == (1, 1):
            raise Killed


class Signal(keras.callbacks.Callback):
    """Sends a signal in a step of the second epoch; the other callbacks see its end."""

    def __init__(self, number, at):
        super().__init__()
        self.number, self.at, self.seen = number, at, []

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_begin(self, batch, logs=None):
        if (self.epoch, batch) == (1, self.at):
            signal.raise_signal(self.number)

    def on_train_batch_end(self, batch, logs=None):
        self.seen.append((self.epoch, batch))


def test_a_run_that_is_told_to_stop_goes_on_to_the_same_end(whole, tmp_path, images):
    """On a clock within an epoch, on SIGTERM within one and on Ctrl-C at the end of one."""
    path, said = tmp_path / "run", io.StringIO()
    progress = Progress(console=Console(file=said), disable=True)
    options = {"progress": progress, "label": "a", "checkpoint_seconds": 1e9}
    where = "the time limit at epoch 1 of 3, step 1 of 4"
    with pytest.raises(stopping.Stopped, match=where):
        run(RECIPE, path, images, stop_after=1e-9, **options)
    late = Signal(signal.SIGTERM, 1)
    with pytest.raises(stopping.Stopped, match="SIGTERM at epoch 2 of 3, step 2 of 4"):
        run(RECIPE, path, images, callbacks=[late], **options)
    assert late.seen[-1] == (1, 1)
    # The rest of an epoch is a training of its own for Keras, whose batches begin at 0.
    with pytest.raises(KeyboardInterrupt, match="interrupted at epoch 3 of 3, step 0 of 4"):
        run(RECIPE, path, images, callbacks=[Signal(signal.SIGINT, 1)], **options)
    folder = RunFolder(path)
    assert len(folder.read_history()) == 2 and folder.read_result() is None
    run(RECIPE, path, images, **options)
    assert [line for line in said.getvalue().splitlines() if "resuming" in line] == [
        "a  resuming at epoch 1 of 3, step 1 of 4",
        "a  resuming at epoch 2 of 3, step 2 of 4",
        "a  resuming at epoch 3 of 3, step 0 of 4",
    ]
    assert folder.read_history() == whole[0].read_history()
    for ours, theirs in zip(
        states(folder.checkpoint_path), states(whole[0].checkpoint_path), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


def test_a_run_killed_before_its_first_checkpoint_starts_again(whole, tmp_path, images):
    with pytest.raises(Killed):
        run(RECIPE, tmp_path / "run", images, checkpoint_seconds=1e9, callbacks=[Kill()])
    assert not (tmp_path / "run" / "checkpoint.keras").exists()
    said = io.StringIO()
    progress = Progress(console=Console(file=said), disable=True)
    folder, _ = run(RECIPE, tmp_path / "run", images, progress=progress)
    assert "starting again at epoch 1: the run stopped before its first" in said.getvalue()
    assert folder.read_history() == whole[0].read_history()


def test_a_run_that_is_done_reports_at_once(whole, images, monkeypatch):
    folder, result = whole
    monkeypatch.setattr(keras.Model, "fit", lambda *a, **k: pytest.fail("trained again"))
    assert train(RECIPE, folder, images) == result


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_checkpoint(tmp_path, images):
    recipe = dataclasses.replace(RECIPE, learning_rate=1e30)
    with pytest.raises(FloatingPointError, match="loss is .* after step"):
        run(recipe, tmp_path / "run", images, checkpoint_seconds=1e9)
    assert not (tmp_path / "run" / "checkpoint.keras").exists()
    assert not (tmp_path / "run" / "result.json").exists()


def test_the_seed_decides_the_initial_weights(images):
    def first_kernel(seed):
        model = build_model(dataclasses.replace(RECIPE, seed=seed), images, 4)
        return keras.ops.convert_to_numpy(model.get_layer("first_conv").kernel.value)

    np.testing.assert_array_equal(first_kernel(3), first_kernel(3))
    assert not np.array_equal(first_kernel(3), first_kernel(4))


def test_tensorboard_logs_are_written(tmp_path, images):
    folder = RunFolder(tmp_path / "run")
    recipe = dataclasses.replace(RECIPE, epochs=1)
    folder.open(recipe.as_json(), {})
    train(recipe, folder, images)
    assert list(folder.log_path.rglob("events.out.tfevents.*"))


def test_group_factors_place_and_scale_the_drops(images):
    recipe = dataclasses.replace(
        RECIPE, network="resnet-8", drop="spatial-scale", curriculum="none", top_rate=None,
        retaining_rate=0.2, score=None, group_factors=((2, 0.5), (3, 1.0)),
    )  # fmt: skip
    model = build_model(recipe, images, 4)
    rates = {la.name: la.retaining_rate for la in model.layers if isinstance(la, FeatureDrop)}
    assert rates == {
        f"group{group}_block1_{conv}_drop": pytest.approx(rate)
        for group, rate in ((2, 0.6), (3, 0.2))
        for conv in (1, 2)
    }


def test_a_test_loss_that_is_not_finite_is_no_result(tmp_path, images):
    # One step an epoch: the loss is taken before the step that ruins the weights.
    recipe = dataclasses.replace(RECIPE, learning_rate=1e30, batch_size=200, epochs=1)
    with pytest.raises(FloatingPointError, match="loss"):
        run(recipe, tmp_path / "run", images)
    assert RunFolder(tmp_path / "run").read_result() is None


def test_a_run_that_a_callback_stops_is_done_there(tmp_path, images):
    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = True

    folder, result = run(RECIPE, tmp_path / "run", images, callbacks=[Stop()])
    assert result["epochs"] == 1 and len(folder.read_history()) == 1
    assert folder.checkpoint_path.exists()


@pytest.mark.parametrize("content", [b"", b"not a model"])
def test_a_damaged_checkpoint_is_named(tmp_path, images, content):
    folder = RunFolder(tmp_path / "run")
    folder.open(RECIPE.as_json(), {})
    folder.checkpoint_path.write_bytes(content)
    with pytest.raises(DamagedRunError, match="checkpoint.keras is damaged"):
        train(RECIPE, folder, images)
