"""How long a training pauses for a checkpoint, and what a disk gets per hour, next to Keras.

The sides take turns on one model: the checkpoint of a run, written by a thread and at once, and the
callbacks of Keras. Each round takes a training step before each side, so that values change.

    python benchmarks/checkpoint_pause.py --network resnet-50 --rounds 7
"""

import argparse
import os
import pathlib
import statistics
import tempfile
import time

import keras
import numpy as np

from keras_selectscale import models
from keras_selectscale.training import Recipe, RunFolder, checkpoints
from keras_selectscale.training.background import BackgroundWriter
from keras_selectscale.training.checkpoints import RunState
from keras_selectscale.training.run_checkpoint import RunCheckpoint


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", default="resnet-50")
    parser.add_argument("--rounds", type=int, default=7)
    chosen = parser.parse_args()
    keras.utils.set_random_seed(0)
    model = models.build(chosen.network)
    model.compile(
        keras.optimizers.SGD(1e-4, momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    batch = np.zeros((1, *model.input_shape[1:]), "float32"), np.zeros(1, "int32")
    model.train_on_batch(*batch)
    with tempfile.TemporaryDirectory() as folder, BackgroundWriter() as writer:
        times, size = measure(model, batch, pathlib.Path(folder), writer, chosen.rounds)
    print(f"{chosen.network}, {keras.backend.backend()}, {size / 1e6:.0f} MB")
    for name, seconds in times.items():
        low, middle, high = statistics.quantiles(seconds, n=4)
        print(f"{name:45} {middle:6.3f} s [{low:.3f}, {high:.3f}]")
    written = RunCheckpoint(RunState(), print, epochs=1, steps_per_epoch=1, every_seconds=None)
    written._writing = statistics.median(times["run, in a thread: whole time"])
    wait = written._wait(size)
    print(f"by default every {wait:.0f} s: {size * 3600 / wait / 1e9:.1f} GB per hour")


def measure(model, batch, folder, writer, rounds):
    """Returns the seconds of each side in each round, and the bytes of a checkpoint."""
    recipe = Recipe(network="measured", dataset="digits")
    run = RunFolder(folder / "run")
    run.open(recipe, {})

    def write(model, state):
        return checkpoints.write_checkpoint(run, recipe, model, state)

    def of_run(writer):
        check = RunCheckpoint(RunState(step=1), write, epochs=2, steps_per_epoch=2, writer=writer)
        check.set_model(model)
        check.on_train_begin()
        return lambda: check.write(with_metrics=True, later=True)

    whole = keras.callbacks.ModelCheckpoint(folder / "keras.keras")
    backup = keras.callbacks.BackupAndRestore(folder / "backup", delete_checkpoint=False)
    for callback in (whole, backup):
        callback.set_model(model)
        callback.on_train_begin()
    sides = {
        "run, in a thread: pause": of_run(writer),
        "run, at once": of_run(None),
        "Keras' ModelCheckpoint": lambda: whole.on_epoch_end(0, {}),
        "Keras' BackupAndRestore": lambda: backup.on_epoch_end(0, {}),
    }
    times = {name: [] for name in (*sides, "run, in a thread: whole time")}
    for number in range(rounds + 1):  # The first one imports what it needs.
        for name, side in sides.items():
            model.train_on_batch(*batch)
            started = time.perf_counter()
            side()
            paused = time.perf_counter() - started
            writer.join()
            if number:
                times[name].append(paused)
                if "pause" in name:
                    times["run, in a thread: whole time"].append(time.perf_counter() - started)
    return times, os.path.getsize(run.checkpoint_path)


if __name__ == "__main__":
    main()
