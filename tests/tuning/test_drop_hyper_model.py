import dataclasses
import functools
import json

import keras
import keras_tuner
import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import api_pb2, metadata

import keras_selectscale
from keras_selectscale import data, models
from keras_selectscale.training import CoupledSGD, Recipe
from keras_selectscale.tuning import DropHyperModel, DropTuner

RECIPE = Recipe(network="resnet-8", dataset="digits", epochs=2, batch_size=16, weight_decay=1e-3)
BUILDER = functools.partial(models.CifarResNet, 8, input_shape=(8, 8, 1))


def values(**more):
    hp = keras_tuner.HyperParameters()
    hp.values = {
        "drop": "selectscale",
        "selectscale/top_rate": 0.3,
        "selectscale/retaining_rate": 0.6,
        **more,
    }
    return hp


def small(drop=None, activation=None):
    """A custom builder."""
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(4, 3)(inputs)
    x = x if drop is None else drop(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(10, activation=activation)(x))


def compiled(drop):
    model = small(drop)
    model.compile("adam", "mse")
    return model


def images():
    return data.validation_split(data.load("digits", train_size=60), share=0.25, seed=0)


def test_the_drop_stands_at_every_site_of_our_builders():
    model = DropHyperModel(BUILDER).build(values())
    drops = [layer for layer in model.layers if isinstance(layer, keras_selectscale.SelectScale)]
    assert len(drops) == 7
    assert {(drop.top_rate, drop.retaining_rate) for drop in drops} == {(0.3, 0.6)}


def test_the_recipe_decides_the_optimizer():
    model = DropHyperModel(small, recipe=RECIPE).build(values())
    assert isinstance(model.optimizer, CoupledSGD) and model.optimizer.l2 == 1e-3
    tuned = DropHyperModel(small, tune={"learning_rate": (0.1, 0.02), "weight_decay": (0.0, 0.5)})
    model = tuned.build(values(**{"recipe/learning_rate": 0.02, "recipe/weight_decay": 0.5}))
    assert model.optimizer.l2 == 0.5 and float(model.optimizer.learning_rate) == pytest.approx(0.02)


def test_a_compiled_model_stays_as_it_is():
    model = DropHyperModel(compiled).build(values())
    assert isinstance(model.optimizer, keras.optimizers.Adam) and model.loss == "mse"
    assert isinstance(DropHyperModel(compiled, recipe=RECIPE).build(values()).optimizer, CoupledSGD)


@pytest.mark.parametrize("activation, logits", [(None, True), ("softmax", False)])
def test_the_loss_is_that_of_the_last_layer(activation, logits):
    builder = functools.partial(small, activation=activation)
    assert DropHyperModel(builder).build(values()).loss.from_logits is logits


def test_images_are_trained_on_as_the_recipe_says_and_scored_by_those_held_out():
    held = images()
    hypermodel = DropHyperModel(small, recipe=RECIPE)
    keras.utils.set_random_seed(3)
    model = hypermodel.build(values())
    found = hypermodel.fit(values(), model, held, seed=3)
    # 45 images: 3 steps an epoch; the schedule's milestones at 30, 60 and 80% of 6 steps.
    assert int(model.optimizer.iterations) == 6
    assert float(model.optimizer.learning_rate) == pytest.approx(0.1 * 0.2**3)
    assert found["epochs"] == 2
    guesses = np.argmax(
        keras.ops.convert_to_numpy(
            model(
                ((held.validation_images / 255 - np.array(held.mean)) / np.array(held.std)).astype(
                    "float32"
                )
            )
        ),
        axis=-1,
    )
    assert found["validation_error"] == pytest.approx(
        100 * np.mean(guesses != held.validation_labels)
    )


def test_arrays_are_trained_on_as_the_recipe_says():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(70, 8, 8, 1)).astype("float32"), rng.integers(10, size=70)
    recipe = dataclasses.replace(RECIPE, batch_size=24, epochs=3, schedule="cosine")
    tuned = DropHyperModel(small, recipe=recipe, tune={"learning_rate": (0.1, 0.2)})
    hp = values(**{"recipe/learning_rate": 0.2})
    model = tuned.build(hp)
    history = tuned.fit(hp, model, x, y, verbose=0)
    assert history.epoch == [0, 1, 2] and history.params["steps"] == 3
    assert int(model.optimizer.iterations) == 9
    np.testing.assert_allclose(float(model.optimizer.learning_rate), 0, atol=1e-6)  # At its end.
    shorter = tuned.fit(hp, model, x, y, epochs=1, batch_size=35, verbose=0)
    assert shorter.epoch == [0] and shorter.params["steps"] == 2


def test_a_schedule_wants_to_know_the_steps():
    tuned = DropHyperModel(small, tune={"schedule": ("step", "cosine")})
    hp = values(**{"recipe/schedule": "cosine"})
    batches = ((np.zeros((2, 8, 8, 1), "float32"), np.zeros(2, "int32")) for _ in range(2))
    with pytest.raises(ValueError, match="`steps_per_epoch`"):
        tuned.fit(hp, tuned.build(hp), batches, verbose=0)
    tuned.fit(hp, tuned.build(hp), batches, steps_per_epoch=2, verbose=0)


class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 3

    def __getitem__(self, number):
        return np.zeros((2, 8, 8, 1), "float32"), np.zeros(2, "int32")


def test_batches_that_are_counted_tell_the_steps():
    tuned = DropHyperModel(small, recipe=dataclasses.replace(RECIPE, schedule="cosine"))
    hp = values()
    model = tuned.build(hp)
    tuned.fit(hp, model, Batches(), verbose=0)
    assert int(model.optimizer.iterations) == 6
    np.testing.assert_allclose(float(model.optimizer.learning_rate), 0, atol=1e-6)


def test_with_early_stopping_the_best_epoch_counts():
    hypermodel = DropHyperModel(small, recipe=RECIPE)

    class Scripted(keras.callbacks.Callback):
        """Gives every epoch a history of its own."""

        def on_epoch_end(self, epoch, logs=None):
            logs["val_accuracy"] = (0.2, 0.8, 0.6, 0.4)[epoch]

    for more, expected in (
        ([], 60),
        ([keras.callbacks.EarlyStopping("val_accuracy", mode="max")], 20),
    ):
        model = hypermodel.build(values())
        found = hypermodel.fit(values(), model, images(), epochs=4, callbacks=[Scripted(), *more])
        assert found["validation_error"] == pytest.approx(expected)


def test_plain_kerastuner_searches_it(tmp_path):
    """Arrays, KerasTuner's own tuner, and what its pages say."""
    split = images()
    x, y = split.train_images / 255.0, split.train_labels
    tuner = keras_tuner.RandomSearch(
        DropHyperModel(small, methods=("selectscale",), tune={"batch_size": (20, 45)}),
        objective="val_accuracy",
        max_trials=2,
        directory=tmp_path,
    )
    tuner.search(x, y, validation_data=(x, y), epochs=1, verbose=0)
    best = tuner.get_best_hyperparameters()[0].values
    assert set(best) == {
        "drop",
        "selectscale/top_rate",
        "selectscale/retaining_rate",
        "recipe/batch_size",
    }


@pytest.mark.slow
def test_hyperband_goes_on_with_a_trials_weights_and_optimizer(tmp_path):
    seen = []

    class Watched(DropHyperModel):
        def fit(self, hp, model, *args, callbacks, **kwargs):
            class Watch(keras.callbacks.Callback):
                def on_train_batch_begin(self, batch, logs=None):
                    if not batch and not self.seen:
                        self.seen = True
                        kernel = keras.ops.convert_to_numpy(self.model.layers[1].kernel)
                        seen.append((hp.values, int(self.model.optimizer.iterations), kernel))

            watch = Watch()
            watch.seen = False
            found = super().fit(hp, model, *args, callbacks=[*callbacks, watch], **kwargs)
            seen[-1] += (keras.ops.convert_to_numpy(model.layers[1].kernel),)
            return found

    tuner = DropTuner(
        Watched(small, recipe=RECIPE),
        "hyperband",
        tmp_path,
        trials=9,
        max_epochs=3,
        tensorboard=False,
    )
    tuner.search(images())
    by_id = {trial.trial_id: trial.hyperparameters.values for trial in tuner.oracle.trials.values()}
    assert all(trial.status == "COMPLETED" for trial in tuner.oracle.trials.values())
    promoted = [each for each in seen if each[0].get("tuner/trial_id")]
    assert promoted
    for its, iterations, begin, _ in promoted:
        (before,) = [each for each in seen if each[0] == by_id[its["tuner/trial_id"]]]
        np.testing.assert_array_equal(begin, before[3])
        assert iterations == 3 * its["tuner/initial_epoch"] > 0


def status_of(log):
    content = log.summary_metadata["_hparams_/session_end_info"].plugin_data.content
    return metadata.parse_session_end_info_plugin_data(content).status


def test_a_failed_run_is_logged_as_failed(tmp_path):
    class Failing(DropHyperModel):
        def fit(self, *args, **kwargs):
            super().fit(*args, **kwargs)
            return {"validation_error": float("nan")}  # Which is known after the training alone.

    hypermodel = Failing(small, ("selectscale",), dataclasses.replace(RECIPE, epochs=1))
    DropTuner(hypermodel, "random", tmp_path, trials=1).search(images())
    log = EventAccumulator(str(tmp_path / "tensorboard" / "t0000" / "seed0")).Reload()
    assert status_of(log) == api_pb2.STATUS_FAILURE


def test_hparams_are_logged(tmp_path):
    tuner = DropTuner(
        DropHyperModel(small, ("selectscale",), RECIPE), "random", tmp_path, trials=1, seeds=2
    )
    tuner.search(images())
    for seed in range(2):
        log = EventAccumulator(str(tmp_path / "tensorboard" / "t0000" / f"seed{seed}")).Reload()
        assert "_hparams_/session_start_info" in log.summary_metadata
        assert status_of(log) == api_pb2.STATUS_SUCCESS
        assert len(log.Tensors("validation_error")) == 2
    metric = json.loads((tmp_path / "trial_t0000" / "trial.json").read_text())["metrics"]["metrics"]
    assert len(metric["validation_error"]["observations"][0]["value"]) == 2


@pytest.mark.parametrize(
    "arguments, error, named",
    [
        ({"build": "resnet-8"}, TypeError, "`build`.*'resnet-8'"),
        ({"build": lambda: None}, TypeError, "`build`.*drop="),
        ({"recipe": "cifar"}, TypeError, "`recipe`.*'cifar'"),
        (
            {"recipe": Recipe(network="a", dataset="digits", drop="dropout", curriculum="linear")},
            ValueError,
            "`recipe`.*curriculum",
        ),
        ({"tune": {"top_rate": (0.1,)}}, ValueError, "`tune`.*top_rate"),
        ({"methods": ("selectout",), "retaining_rates": (0,)}, ValueError, "feasible"),
    ],
)
def test_refuses_bad_values(arguments, error, named):
    with pytest.raises(error, match=named):
        DropHyperModel(**{"build": small, **arguments})


def test_a_builder_that_gives_no_model():
    with pytest.raises(TypeError, match="`build` must return a keras.Model"):
        DropHyperModel(lambda drop: drop).build(values())


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_the_precision_is_the_recipes(precision):
    recipe = dataclasses.replace(RECIPE, precision=precision)
    model = DropHyperModel(BUILDER, recipe=recipe).build(values())
    assert model.layers[1].dtype_policy.name == precision


def test_without_a_recipe_the_precision_is_the_builders():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = DropHyperModel(BUILDER).build(values())
    finally:
        keras.config.set_dtype_policy("float32")
    assert model.layers[1].dtype_policy.name == "mixed_bfloat16"


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="a choice on TensorFlow alone")
@pytest.mark.parametrize("jit", [True, False])
def test_it_compiles_as_asked(jit):
    model = DropHyperModel(BUILDER, recipe=RECIPE, jit=jit).build(values())
    assert model.jit_compile is jit


def test_jit_is_a_bool():
    with pytest.raises(TypeError, match="`jit` must be a bool.*'on'"):
        DropHyperModel(BUILDER, jit="on")
