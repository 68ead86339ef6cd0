"""Trains a run whole, and again while it is killed, and prints what came of both as JSON.

Run by `test_killed_runs.py` in a process of its own, a backend each. An attempt is a fork that has
Keras imported and nothing computed, so that it costs its training alone.

    python -m tests.training.killed_runs FOLDER KILLS
"""

import json
import os
import pathlib
import random
import signal
import sys
import time
import traceback
import zipfile

import keras
import numpy as np

from keras_selectscale import FeatureDrop, data
from keras_selectscale.training import Recipe, RunFolder, checkpoints, train

RECIPE = Recipe(
    network="resnet-8",
    dataset="digits",
    drop="selectscale",
    curriculum="linear",
    epochs=20,
    batch_size=32,
    train_size=200,
    seed=3,
)


def start(run, images):
    """Starts an attempt and returns its process number."""
    child = os.fork()
    if child:
        return child
    try:
        if keras.backend.backend() == "jax":
            import jax

            # An attempt after a kill need not compile again.
            jax.config.update("jax_compilation_cache_dir", str(run.path.parent / "compiled"))
            jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
        run.open(RECIPE.as_json(), {})
        train(RECIPE, run, images, tensorboard=False, checkpoint_seconds=0.05)
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def written(run):
    """Returns what tells one checkpoint from another."""
    try:
        return run.checkpoint_path.stat().st_mtime_ns
    except FileNotFoundError:
        return None


def kill(run, images, early):
    """Starts an attempt and kills it: at once, or a moment after it wrote a checkpoint."""
    before = written(run)
    child = start(run, images)
    while not early and written(run) == before:
        time.sleep(0.005)
        if os.waitpid(child, os.WNOHANG) != (0, 0):
            raise SystemExit("an attempt ended by itself")
    time.sleep(random.uniform(0, 0.4))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def step(run):
    """Returns the step of a checkpoint without a word to the backend, which could not fork then."""
    with zipfile.ZipFile(run.checkpoint_path) as archive:
        return json.loads(archive.read(checkpoints.ENTRY))["state"]["step"]


def state(run):
    """Returns everything that a checkpoint holds: weights, optimizer, counters, random states."""
    model = keras.models.load_model(run.checkpoint_path)
    drops = [layer for layer in model.layers if isinstance(layer, FeatureDrop)]
    variables = [*model.weights, *model.optimizer.variables]
    variables += [drop.seed_generator.state for drop in drops]
    return [keras.ops.convert_to_numpy(variable.value) for variable in variables], len(drops)


def main():
    folder, kills = pathlib.Path(sys.argv[1]), int(sys.argv[2])
    random.seed(kills)
    images = data.load("digits", train_size=RECIPE.train_size, seed=RECIPE.seed)
    whole, killed = RunFolder(folder / "whole"), RunFolder(folder / "killed")
    assert os.waitpid(start(whole, images), 0)[1] == 0
    steps = []
    for number in range(kills):
        kill(killed, images, early=number % 4 == 3)
        steps.append(step(killed))
    assert os.waitpid(start(killed, images), 0)[1] == 0
    ours, drops = state(killed)
    theirs, _ = state(whole)
    without_time = [
        {name: value for name, value in run.read_result().items() if "seco" not in name}
        for run in (whole, killed)
    ]
    print(
        json.dumps(
            {
                "steps": steps,
                "arrays": len(ours),
                "drops": drops,
                "differ": sum(not np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True)),
                "same_history": whole.history_path.read_bytes() == killed.history_path.read_bytes(),
                "same_result": without_time[0] == without_time[1],
                "files": sorted(path.name for path in killed.path.iterdir()),
            }
        )
    )


if __name__ == "__main__":
    main()
