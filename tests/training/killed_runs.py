"""Trains a run whole, and again while it is killed, and prints what came of both as JSON.

Run by `test_killed_runs.py` in a process of its own, a backend each; every attempt is one too.

    python -m tests.training.killed_runs FOLDER KILLS
"""

import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time
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
    epochs=6,
    batch_size=32,
    train_size=200,
    seed=3,
)


def attempt(folder):
    """Trains a run from where it stands, once a line comes on standard input."""
    images = data.load("digits", train_size=RECIPE.train_size, seed=RECIPE.seed)
    if keras.backend.backend() == "jax":
        import jax

        # An attempt after a kill need not compile again.
        jax.config.update("jax_compilation_cache_dir", str(folder.parent / "compiled"))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    sys.stdin.readline()
    run = RunFolder(folder)
    run.open(RECIPE.as_json(), {})
    train(RECIPE, run, images, tensorboard=False, checkpoint_seconds=0.0)


def prepare(run):
    """Returns the process of an attempt, which waits with all it needs imported."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.training.killed_runs", str(run.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )


def start(process):
    """Lets a waiting attempt train."""
    process.stdin.write("go\n")
    process.stdin.flush()


def written(run):
    """Returns what tells one checkpoint from another."""
    try:
        return run.checkpoint_path.stat().st_mtime_ns
    except FileNotFoundError:
        return None


def part(run):
    """Returns whether a checkpoint is being written."""
    return (run.path / ".checkpoint.part.keras").exists()


def stop_while_writing(process, run):
    """Stops an attempt while it writes a checkpoint."""
    while process.poll() is None:
        if part(run):
            process.send_signal(signal.SIGSTOP)
            os.waitid(os.P_PID, process.pid, os.WSTOPPED)
            if part(run):
                return
            process.send_signal(signal.SIGCONT)
        time.sleep(0.001)


def kill(process, run, early, writing):
    """Lets an attempt train and kills it: at once, or a moment after some checkpoints.

    Returns whether a checkpoint was being written, for which it waits if `writing`.
    """
    before = written(run)
    start(process)
    for _ in range(0 if early else random.randint(1, 6)):
        while written(run) == before:
            time.sleep(0.002)
            if process.poll() is not None:
                raise SystemExit("an attempt ended by itself")
        before = written(run)
    if writing:
        stop_while_writing(process, run)
    else:
        time.sleep(random.uniform(0, 0.1))
    process.kill()
    process.wait()
    return part(run)


def step(run):
    """Returns the step of the last checkpoint, or of the one before where a kill came between."""
    paths = (run.checkpoint_path, run.previous_checkpoint_path)
    with zipfile.ZipFile(next(path for path in paths if path.exists())) as archive:
        return json.loads(archive.read(checkpoints.ENTRY))["state"]["step"]


def state(run):
    """Returns everything that a checkpoint holds: weights, optimizer, counters, random states."""
    model = keras.models.load_model(run.checkpoint_path)
    drops = [layer for layer in model.layers if isinstance(layer, FeatureDrop)]
    variables = [*model.weights, *model.optimizer.variables]
    variables += [drop.training_calls for drop in drops if drop.training_calls is not None]
    variables += [drop.seed_generator.state for drop in drops]
    return [keras.ops.convert_to_numpy(variable.value) for variable in variables], len(drops)


def main():
    folder = pathlib.Path(sys.argv[1])
    if len(sys.argv) == 2:
        attempt(folder)
        return
    kills = int(sys.argv[2])
    random.seed(kills)
    whole, killed = RunFolder(folder / "whole"), RunFolder(folder / "killed")
    first, process = prepare(whole), prepare(killed)
    start(first)
    assert first.wait() == 0
    steps, while_writing = [], []
    for number in range(kills):
        following = prepare(killed)
        last = number == kills - 1
        while_writing.append(kill(process, killed, early=0 < number and not last, writing=last))
        steps.append(step(killed))
        process = following
    start(process)
    assert process.wait() == 0
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
                "while_writing": while_writing,
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
