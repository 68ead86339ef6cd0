import keras
import keras_tuner
import pytest

import keras_selectscale
from keras_selectscale.tuning import drop_space


def test_it_draws_the_layer_of_the_values():
    hp = keras_tuner.HyperParameters()
    hp.values = {"drop": "selectout", "selectout/top_rate": 0.5, "selectout/share": 0.6}
    drop = drop_space(hp, seed=3, name="mine")
    assert type(drop) is keras_selectscale.Selectout
    assert (drop.top_rate, drop.retaining_rate, drop.seed, drop.name) == (0.5, 0.7, 3, "mine")
    hp.values = {"drop": "none"}
    assert drop_space(hp, methods=("selectout", "none"), seed=3) is None


def test_a_scope_gives_another_drop():
    hp = keras_tuner.HyperParameters()
    early = drop_space(hp, methods=("spatial-scale",))
    with hp.name_scope("late"):
        late = drop_space(hp, methods=("spatial-scale",), retaining_rates=(0.5,))
    assert (early.retaining_rate, late.retaining_rate) == (0.0, 0.5)
    assert set(hp.values) == {
        "drop",
        "spatial-scale/retaining_rate",
        "late/drop",
        "late/spatial-scale/retaining_rate",
    }


def build(hp):
    inputs = keras.Input((4, 4, 4))
    drop = drop_space(hp, ("selectscale", "selectout", "none"), top_rates=(0.5, 1.0))
    x = inputs if drop is None else drop(inputs)
    outputs = keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(x))
    model = keras.Model(inputs, outputs)
    model.compile("sgd", "mse")
    return model


@pytest.mark.parametrize(
    "oracle",
    [
        keras_tuner.oracles.RandomSearchOracle("loss", max_trials=40, seed=1),
        keras_tuner.oracles.BayesianOptimizationOracle(
            "loss", max_trials=22, num_initial_points=20, seed=1
        ),
        keras_tuner.oracles.HyperbandOracle("loss", max_epochs=9, seed=1),
        keras_tuner.oracles.GridSearchOracle("loss"),
    ],
    ids=lambda oracle: type(oracle).__name__,
)
def test_every_oracle_of_kerastuner_draws_what_can_be_built(oracle, tmp_path):
    """A custom HyperModel, with KerasTuner alone."""
    oracle.verbose = 0
    tuner = keras_tuner.Tuner(oracle, build, directory=tmp_path, project_name="search")
    seen = []
    while (trial := oracle.create_trial("tuner0")).status == "RUNNING":
        layers = [
            type(layer).__name__ for layer in tuner.hypermodel.build(trial.hyperparameters).layers
        ]
        assert (trial.hyperparameters.get("drop") == "none") == (
            "GlobalAveragePooling2D" == layers[1]
        )
        oracle.update_trial(trial.trial_id, {"loss": float(len(seen) % 7)})
        trial.status = "COMPLETED"
        oracle.end_trial(trial)
        seen.append(tuple(sorted(trial.hyperparameters.values.items())))
    if isinstance(oracle, keras_tuner.oracles.GridSearchOracle):
        assert len(set(seen)) == len(seen) == 2 * 10 + 2 * 5 + 1
    else:
        assert {dict(each)["drop"] for each in seen} == {"selectscale", "selectout", "none"}
