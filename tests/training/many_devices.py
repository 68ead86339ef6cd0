"""Trains on the devices that it is told, and prints the history as JSON.

Run by `test_many_devices.py` in processes of their own: devices are fixed when a backend starts.

    python -m tests.training.many_devices FOLDER RECIPE DEVICES [SECONDS]
"""

import json
import pathlib
import sys

import keras

from keras_selectscale import data
from keras_selectscale.training import Devices, Recipe, RunFolder, train
from tests.models.tiny import registered


def addresses_at(address):
    """Returns the addresses, in hexadecimal, at which this machine listens on a port."""
    port, found = int(address.rpartition(":")[2]), []
    for table in map(pathlib.Path, ("/proc/net/tcp", "/proc/net/tcp6")):
        for line in table.read_text().splitlines()[1:] if table.exists() else ():
            _, local, _, state, *_ = line.split()
            host, _, number = local.partition(":")
            if state == "0A" and int(number, 16) == port:
                found.append(host)
    return found


def main():
    folder, recipe, options = pathlib.Path(sys.argv[1]), *map(json.loads, sys.argv[2:4])
    if keras.backend.backend() == "jax":
        import jax

        # The second time that a network is compiled costs nothing.
        jax.config.update("jax_compilation_cache_dir", str(folder.parent / "compiled"))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    devices = Devices(**options)
    devices.start()
    listening = addresses_at(devices.coordinator) if devices.coordinator else []
    recipe = Recipe(network="tiny", dataset="digits", **recipe)
    images = data.load("digits", train_size=recipe.train_size, seed=recipe.seed)
    run = RunFolder(folder)
    if devices.is_main:
        run.open(recipe.as_json(), devices.describe())
    seconds = float(sys.argv[4]) if len(sys.argv) > 4 else 1e9
    train(recipe, run, images, devices=devices, tensorboard=False, checkpoint_seconds=seconds)
    if devices.is_main:
        rows = [float(row["loss"]) for row in run.read_history()]
        found = {"devices": devices.count, "losses": rows, "listening": listening}
        print(json.dumps(found | run.read_result()))


if __name__ == "__main__":
    with registered():
        main()
