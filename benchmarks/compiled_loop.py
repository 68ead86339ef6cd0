"""Times the compiled loop of JAX's training by itself, and writes a trace of it on request.

    KERAS_BACKEND=jax python benchmarks/compiled_loop.py --network wrn-20-4 --trace traces

Random images, mixed_bfloat16 on request, the recipe's optimizer. The sides take turns; each
measurement is two dispatches.
"""

import argparse
import statistics
import time

import jax
import keras
import numpy as np

import keras_selectscale as ks
from keras_selectscale.data import Augmentation, ImageData
from keras_selectscale.training import fuse_normalization
from keras_selectscale.training.device_loop import _Steps, jax_state
from keras_selectscale.training.devices import Devices

DROPS = {
    "none": None,
    "selectscale": ks.SelectScale(top_rate=0.2, retaining_rate=0.4, seed=1),
    "spatial-dropout": ks.SpatialDropout(retaining_rate=0.9, seed=1),
}


def images(count: int) -> ImageData:
    """Returns random images of the size of CIFAR's."""
    generator = np.random.default_rng(0)

    def split(number: int) -> tuple[np.ndarray, np.ndarray]:
        pixels = generator.integers(256, size=(number, 32, 32, 3), dtype=np.uint8)
        return pixels, generator.integers(10, size=number)

    return ImageData(
        "random",
        *split(count),
        *split(1),
        classes=10,
        mean=(0.5,) * 3,
        std=(0.25,) * 3,
        augmentation=Augmentation(padding=4, flip=True),
    )


def main() -> None:
    """Prints the median time of a step of each side."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", default="wrn-20-4")
    parser.add_argument("--drops", default="none,selectscale", help="Of " + ", ".join(DROPS))
    parser.add_argument("--precision", default="mixed_bfloat16")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--steps", type=int, default=39, help="Steps of a dispatch")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--trace", help="Folder for a trace of a dispatch of each side")
    given = parser.parse_args()
    keras.config.set_dtype_policy(given.precision)
    source = images(2 * given.steps * given.batch_size)
    sides, seconds = {}, {}
    for drop in given.drops.split(","):
        keras.utils.set_random_seed(0)
        model = ks.models.build(given.network, drop=DROPS[drop], classes=10)
        with fuse_normalization(model):
            loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            model.compile(ks.optimizers.CoupledSGD(0.1), loss, metrics=["accuracy"])
            model.train_on_batch(np.zeros((2, 32, 32, 3), "float32"), np.zeros(2, "int32"))
            steps = _Steps(model, source, given.batch_size, 0, Devices())
            order, state, start = steps.shuffle(0), jax_state(model), time.perf_counter()
            state, _ = steps.dispatch(state, order, 0, 0, given.steps, given.batch_size)
            jax.block_until_ready(state)
        print(f"{drop}: compiled and run in {time.perf_counter() - start:.1f} s", flush=True)
        sides[drop], seconds[drop] = [steps, order, state], []
    for _ in range(given.rounds):
        for drop, (steps, order, state) in sides.items():
            start = time.perf_counter()
            for number in range(2):
                first = number * given.steps
                state, _ = steps.dispatch(state, order, 0, first, given.steps, given.batch_size)
            jax.block_until_ready(state)
            seconds[drop].append((time.perf_counter() - start) / 2 / given.steps)
            sides[drop][2] = state
    for drop, times in seconds.items():
        step = statistics.median(times)
        print(f"{drop}: {1000 * step:.3f} ms a step, {given.batch_size / step:,.0f} images/s")
    for drop, (steps, order, state) in sides.items() if given.trace else ():
        with jax.profiler.trace(f"{given.trace}/{drop}"):
            jax.block_until_ready(steps.dispatch(state, order, 0, 0, given.steps, given.batch_size))


if __name__ == "__main__":
    main()
