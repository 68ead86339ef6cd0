"""Trains one recipe as a run and as a trial of a search, and prints what differs as JSON.

`test_fit.py` runs it in a process of its own on the backends other than the current one.

    python -m tests.training.one_path FOLDER
"""

import json
import pathlib
import sys

import keras
import keras_tuner
import numpy as np

from keras_selectscale import data, models
from keras_selectscale.training import Recipe, RunFolder, load_checkpoint, train
from keras_selectscale.tuning import DropHyperModel

RECIPE = Recipe(network="resnet-8", dataset="digits", epochs=3, batch_size=32, seed=3)


def build(name="", drop=None, **options):
    """A network that compiles in a moment."""
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(4, 3, activation="relu")(inputs)
    x = x if drop is None else drop(x)
    return keras.Model(inputs, keras.layers.Dense(10)(keras.layers.Flatten()(x)))


def compare(folder):
    """Returns the largest difference of the weights, and of the last training loss."""
    images = data.load("digits", train_size=80)  # The last batch of an epoch is smaller.
    models.build = build
    run = RunFolder(folder / "run")
    run.open(RECIPE.as_json(), {})
    train(RECIPE, run, images, tensorboard=False)
    ours = load_checkpoint(run).get_weights()

    hypermodel = DropHyperModel(build, ("none", "selectscale"), RECIPE)
    hp = keras_tuner.HyperParameters()
    hp.values = {"drop": "none"}
    keras.utils.set_random_seed(RECIPE.seed)
    model = hypermodel.build(hp)
    found = hypermodel.fit(hp, model, images, seed=RECIPE.seed)
    (*_, last) = run.read_history()
    test_error = run.read_result()["test_error"]
    return {
        "weights": max(
            float(np.abs(a - b).max()) for a, b in zip(ours, model.get_weights(), strict=True)
        ),
        "loss": abs(float(last["loss"]) - found["loss"]),
        "test_error": abs(test_error - found["validation_error"]),
        "epochs": found["epochs"],
    }


if __name__ == "__main__":
    print(json.dumps(compare(pathlib.Path(sys.argv[1]))))
