import json
import math
import warnings
from types import SimpleNamespace

import keras
import keras_tuner
import numpy as np
import pytest

from keras_selectscale.tuning import DropTuner
from keras_selectscale.tuning.objective import as_metrics, check_objective, is_hopeless
from keras_selectscale.tuning.oracles import TUNERS
from keras_selectscale.tuning.trials.objective_stopping import ObjectiveStopping
from tests.tuning.test_drop_hyper_model import RECIPE, images, small

ERROR = keras_tuner.Objective("error", "min")
SUM = [keras_tuner.Objective("val_accuracy", "max"), keras_tuner.Objective("val_loss", "min")]


def tuner_of(folder, fit, kind="random", **options):
    """A tuner whose trials take what `fit(epochs, callbacks)` returns."""

    class Model(keras_tuner.HyperModel):
        def build(self, hp):
            hp.Choice("units", [1, 2, 3, 4])
            return keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])

        def fit(self, hp, model, *args, callbacks, **kwargs):
            return fit(callbacks)

    return DropTuner(Model(), kind, folder, **{"trials": 2, "tensorboard": False, **options})


def objective_of(objective):
    return keras_tuner.oracles.RandomSearchOracle(objective=check_objective(objective)).objective


def run(stopping, logs):
    """Plays the logs of epochs to a callback, and returns how many epochs it lets pass."""
    stopping.set_model(keras.Sequential())
    stopping.model.stop_training = False
    stopping.on_train_begin()
    for epoch, log in enumerate(logs):
        stopping.on_epoch_end(epoch, log)
        if stopping.model.stop_training:
            break
    stopping.on_train_end()
    return epoch + 1


FALLING = [{"val_accuracy": 0.5, "val_loss": loss, "loss": 1.0} for loss in (3, 2, 2.5, 2.4, 1, 0)]


@pytest.mark.parametrize(
    "objective, ends, best",
    [
        ("val_loss", 4, 1),
        (SUM, 4, 1),
        (["val_accuracy", "val_loss"], 4, 1),
        ("val_accuracy", 3, 0),
        (keras_tuner.Objective("val_loss", "max"), 3, 0),
        # What `DropHyperModel.fit` returns for images stands in the logs under other names.
        (None, 3, 0),
        (keras_tuner.Objective("validation_loss", "min"), 4, 1),
        (["val_accuracy", keras_tuner.Objective("validation_loss", "min")], 4, 1),
    ],
)
def test_a_run_ends_when_its_objective_does_not_improve(objective, ends, best):
    stopping = ObjectiveStopping(objective_of(objective), 2)
    assert run(stopping, FALLING) == ends
    assert stopping.best_epoch == best


def test_nan_is_never_an_improvement():
    values = [math.nan, 3.0, 2.0, math.nan, 1.0]
    stopping = ObjectiveStopping(objective_of("val_loss"), 2)
    assert run(stopping, [{"val_loss": value} for value in values]) == 5
    assert stopping.best_epoch == 4
    assert run(stopping, [{"val_loss": math.nan}] * 9) == 3


@pytest.mark.parametrize(
    "logs",
    [
        [{"loss": 1.0, "val_mae": 1.0}],
        [{"loss": 1.0}] * 3,  # Never validated.
    ],
)
def test_an_objective_that_no_log_contains_is_an_error(logs):
    with pytest.raises(keras_tuner.errors.FatalValueError, match="`objective`.*'val_loss'"):
        run(ObjectiveStopping(objective_of(SUM), 1), logs)


def test_epochs_without_validation_are_skipped():
    logs = [{"loss": 1.0}, FALLING[0], {"loss": 1.0}, FALLING[1], {"loss": 1.0}, FALLING[2]]
    stopping = ObjectiveStopping(objective_of(SUM), 2)
    assert (run(stopping, logs), stopping.best_epoch) == (6, 3)


def test_a_list_of_objectives_stops_the_runs_of_a_search(tmp_path):
    x = np.zeros((4, 3), "float32")
    epochs = []

    def build(hp):
        hp.Choice("a", [1, 2])
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, trainable=False)])
        model.compile("sgd", "mse", metrics=["mae"])
        return model

    class Watch(keras.callbacks.Callback):
        def on_train_end(self, logs=None):
            epochs.append(self.params["epochs"] if logs is None else len(self.model.history.epoch))

    # The model cannot learn: nothing improves after the first epoch.
    tuner = DropTuner(
        build,
        "random",
        tmp_path,
        trials=2,
        objective=["val_loss", "val_mae"],
        early_stopping=2,
        tensorboard=False,
    )
    tuner.search(x, x[:, 0], validation_data=(x, x[:, 0]), epochs=9, verbose=0, callbacks=[Watch()])
    trials = list(tuner.oracle.trials.values())
    assert [trial.status for trial in trials] == ["COMPLETED"] * 2
    assert epochs == [3, 3]
    for trial in trials:
        parts = [trial.metrics.get_best_value(name) for name in ("val_loss", "val_mae")]
        assert trial.score == pytest.approx(sum(parts))


def test_the_objectives_best_epoch_counts_for_images(tmp_path):
    from keras_selectscale.tuning import DropHyperModel

    class Scripted(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["val_accuracy"] = (0.2, 0.8, 0.6, 0.4)[epoch]
            logs["val_loss"] = (9.0, 8.0, 1.0, 2.0)[epoch]

    for name, epoch in (("validation_error", 1), ("validation_loss", 2)):
        stopping = ObjectiveStopping(keras_tuner.Objective(name, "min"), 9)
        hypermodel = DropHyperModel(small, ("none",), RECIPE)
        hp = keras_tuner.HyperParameters()
        model = hypermodel.build(hp)
        found = hypermodel.fit(hp, model, images(), epochs=4, callbacks=[Scripted(), stopping])
        assert found["validation_loss"] == (9.0, 8.0, 1.0, 2.0)[epoch]


NOT_A_NUMBER = {"error": 3.0, "f1": math.nan, "gap": math.inf, "loss": math.nan}


@pytest.mark.parametrize("kind", TUNERS)
def test_only_the_objective_must_be_finite(kind, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        tuner = tuner_of(
            tmp_path, lambda _: NOT_A_NUMBER, kind, objective=ERROR, seeds=2, max_epochs=4
        )
        tuner.search()
    for trial in tuner.oracle.trials.values():
        assert (trial.status, trial.score) == ("COMPLETED", 3.0)
        path = tmp_path / f"trial_{trial.trial_id}" / "trial.json"
        metrics = json.loads(path.read_text())["metrics"]["metrics"]
        values = [value for each in metrics["f1"]["observations"] for value in each["value"]]
        assert len(values) == 2 and all(map(math.isnan, values))
    again = tuner_of(tmp_path, lambda _: NOT_A_NUMBER, kind, objective=ERROR, max_epochs=4)
    assert {t.score for t in again.oracle.trials.values()} == {3.0}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("objective", [ERROR, [ERROR, keras_tuner.Objective("gap", "max")]])
def test_an_objective_that_is_not_finite_fails_the_trial(objective, value, tmp_path):
    tuner = tuner_of(tmp_path, lambda _: {"error": 1.0, "gap": 2.0} | bad, objective=objective)
    bad = {"error" if objective is ERROR else "gap": value}
    tuner.search()
    (message,) = {t.message.splitlines()[0] for t in tuner.oracle.trials.values()}
    assert message.startswith("FloatingPointError") and str(value) in message


def test_a_list_of_objectives_takes_dictionaries(tmp_path):
    parts = [ERROR, keras_tuner.Objective("gap", "max")]
    tuner = tuner_of(tmp_path, lambda _: {"error": 3.0, "gap": 5.0}, objective=parts)
    tuner.search()
    assert {(t.status, t.score) for t in tuner.oracle.trials.values()} == {("COMPLETED", -2.0)}


@pytest.mark.parametrize(
    "results, words",
    [
        ({"loss": 1.0}, "'error'"),
        (None, "None"),
        ("3", "'3'"),
        ([], r"\[\]"),
        ([3.0, None], "None"),
    ],
)
def test_results_without_the_objective_end_the_search_at_once(results, words, tmp_path):
    calls = []
    tuner = tuner_of(tmp_path, lambda _: calls.append(1) or results, objective=ERROR)
    with pytest.raises(keras_tuner.errors.FatalError, match=words):
        tuner.search()
    assert calls == [1]


def history(**logs):
    made = keras.callbacks.History()
    made.history = logs
    return made


def test_what_a_run_may_return():
    assert as_metrics(3, ERROR, "fit") == {"error": 3.0}
    assert as_metrics(np.float32(3), ERROR, "fit") == {"error": 3.0}
    assert as_metrics([{"error": 1, "a": 0.0}, {"error": 2, "a": 4.0}], ERROR, "fit") == {
        "error": 1.5,
        "a": 2.0,
    }
    made = history(error=[math.nan, 2.0, 3.0, math.nan], a=[1.0, 2.0, 3.0, 4.0])
    assert as_metrics(made, ERROR, "fit") == {"error": 2.0, "a": 2.0}
    made = history(loss=[4.0, 3.0, 2.0, 1.0], error=[2.0, 1.0])  # Every second epoch is validated.
    assert as_metrics(made, ERROR, "fit")["error"] == 1.0
    several = objective_of([ERROR, keras_tuner.Objective("gap", "max")])
    made = history(error=[1.0, 1.0], gap=[1.0, 2.0])
    assert as_metrics(made, several, "fit") == {"error": 1.0, "gap": 2.0, "multi_objective": -1.0}


class Gap(keras_tuner.Objective):
    """An objective that is computed from the logs."""

    def __init__(self):
        super().__init__("gap", "min")

    def has_value(self, logs):
        return {"loss", "val_loss"} <= set(logs)

    def get_value(self, logs):
        return logs["val_loss"] - logs["loss"]


def test_a_custom_objective():
    assert as_metrics(history(loss=[1.0, 1.0], val_loss=[3.0, 2.0]), Gap(), "fit")["gap"] == 1.0
    stopping = ObjectiveStopping(Gap(), 1)
    assert run(stopping, [{"loss": 1.0, "val_loss": value} for value in (3.0, 2.0, 2.5)]) == 3


@pytest.mark.parametrize(
    "objective, error",
    [
        (3, TypeError),
        ([3], TypeError),
        ([], ValueError),
        (["val_loss", "val_loss"], ValueError),
        (["val_loss", keras_tuner.Objective("val_loss", "max")], ValueError),
        (keras_tuner.Objective("val_loss", "up"), ValueError),
        ([keras_tuner.Objective("val_loss", None)], ValueError),
        ("validation_error", ValueError),
    ],
)
def test_refuses_bad_objectives(objective, error, tmp_path):
    with pytest.raises(error, match="Argument `objective` must be"):
        tuner_of(tmp_path / "search", lambda _: 1.0, objective=objective)
    assert not (tmp_path / "search").exists()


@pytest.mark.parametrize(
    ("direction", "first", "best", "margin", "expected"),
    [
        ("min", 9.0, 5.0, 3.9, True),
        ("min", 9.0, 5.0, 4.0, False),
        ("min", 2.0, 5.0, 0.0, False),
        ("max", 5.0, 9.0, 3.0, True),
        ("max", 9.0, 5.0, 0.0, False),
    ],
)
def test_a_first_seed_is_hopeless_beyond_the_margin(direction, first, best, margin, expected):
    objective = keras_tuner.Objective("error", direction)
    trial = SimpleNamespace(status="COMPLETED", score=best)
    assert is_hopeless(objective, first, trial, margin) == expected
    trial.status = "RUNNING"
    assert not is_hopeless(objective, first, trial, margin)
