"""Continues a copy of a run, and prints how it ended as JSON.

`test_old_runs.py` runs it on the backend of the run.

    python -m tests.training.continue_run RUN
"""

import hashlib
import json
import pathlib
import sys

import keras
import numpy as np

from keras_selectscale import FeatureDrop, data, environment
from keras_selectscale.training import Devices, Recipe, RunFolder, load_checkpoint, train

CPU_INFO = pathlib.Path("/proc/cpuinfo")


def described():
    """Returns what decides the roundings of a run: packages, devices and processor."""
    values = environment.describe() | Devices().describe()
    flags = ""
    if CPU_INFO.exists():
        flags = next((x for x in CPU_INFO.read_text().splitlines() if x.startswith("flags")), "")
    return {
        **{
            name: value
            for name, value in values.items()
            if name not in ("keras_selectscale", "commit", "python", "steps_per_dispatch")
        },
        "cpu": hashlib.sha256(flags.encode()).hexdigest()[:12],
    }


def digest(run):
    """Returns a digest of the weights, the optimizer and the random states of a run."""
    model = load_checkpoint(run)
    drops = [layer for layer in model.layers if isinstance(layer, FeatureDrop)]
    variables = []
    for layer in model.layers:
        variables += layer.weights
        # An earlier version counted the steps of a schedule in a weight.
        if layer in drops and layer.training_calls is not None:
            variables.append(layer.training_calls)
    variables += model.optimizer.variables
    variables += [drop.seed_generator.state for drop in drops]
    arrays = [keras.ops.convert_to_numpy(variable.value) for variable in variables]
    content = b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)
    return hashlib.sha256(content).hexdigest()


def main():
    run = RunFolder(sys.argv[1])
    recipe = Recipe.from_json(run.read_recipe())
    images = data.load(recipe.dataset, train_size=recipe.train_size, seed=recipe.seed)
    result = train(recipe, run, images, tensorboard=False)
    ended = {"digest": digest(run), "history": run.read_history(), "result": result}
    print(json.dumps({"environment": described(), **ended}))


if __name__ == "__main__":
    main()
