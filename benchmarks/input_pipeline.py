"""Measures whether training waits for its images.

python benchmarks/input_pipeline.py --network resnet-20 --dataset cifar10 --data-dir DIR
KERAS_BACKEND=jax python benchmarks/input_pipeline.py --network resnet-20 --dataset cifar10 \
    --data-dir DIR

Prints the images per second of the pipeline alone and of training, and the time of some steps on
real batches relative to as many steps on one ready batch: the median over rounds with quartiles.
Both are measured in turns in one process, and each is first in half of the rounds. On JAX with
images in memory, a real batch is selected, augmented and normalized on the device before each step,
as in training with one step per dispatch. `--same` uses the ready batch for both sides, which shows
how far the ratio is from 1 by noise.
"""

import functools
import statistics
import time

import click

PAUSE, LEAD, ALONE = 0.5, 3, 400


def host_work(model, images, batch_size, same):
    """Returns functions for a step on a real batch, a step on a ready batch, and a batch alone."""
    from keras_selectscale import data

    batches = iter(data.training_batches(images, batch_size=batch_size, seed=0))

    def full_batch():
        while True:  # The last batch of an epoch is smaller.
            batch = next(batches)
            if len(batch[1]) == batch_size:
                return batch

    ready = full_batch()

    def train_ready():
        model.train_on_batch(*ready)

    def train_real():
        model.train_on_batch(*full_batch())

    return train_ready if same else train_real, train_ready, full_batch


def device_work(model, images, batch_size, same):
    """Returns the same functions for images that are on JAX's device."""
    import jax

    from keras_selectscale.data import device_batches
    from keras_selectscale.training.device_loop import jax_state
    from keras_selectscale.training.fit import build_metrics

    build_metrics(model, images)
    source = device_batches.on_device(images)
    make = functools.partial(device_batches.make_batch, augmentation=images.augmentation, seed=0)
    order = jax.jit(functools.partial(device_batches.epoch_order, images.train_count, 0))(0)
    whole = images.train_count // batch_size

    def picked(source, order, number):
        first = (number % whole) * batch_size
        chosen = jax.lax.dynamic_slice(order, (first,), (batch_size,))
        return make(source, chosen, step=number)

    alone = jax.jit(picked)
    ready = alone(source, order, 0)

    @functools.partial(jax.jit, donate_argnums=0)
    def step(state, batch):
        return model.train_step(state, batch)

    state, number = [jax_state(model)], iter(range(10**9))

    def take(batch):
        logs, state[0] = step(state[0], batch)
        float(logs["loss"])  # Training reads it after each dispatch too.

    def train_ready():
        take(ready)

    def train_real():
        take(alone(source, order, next(number)))

    def make_alone():
        jax.block_until_ready(alone(source, order, next(number)))

    return train_ready if same else train_real, train_ready, make_alone


@click.command()
@click.option("--network", default="resnet-20", show_default=True)
@click.option("--dataset", default="digits", show_default=True)
@click.option("--data-dir")
@click.option("--image-size", type=int)
@click.option("--precision", default="float32", show_default=True)
@click.option("--batch-size", default=128, show_default=True)
@click.option(
    "--steps", type=click.IntRange(min=1), default=10, show_default=True, help="Steps of one round."
)
@click.option("--rounds", type=click.IntRange(min=2), default=20, show_default=True)
@click.option("--same", is_flag=True, help="Use the ready batch for both.")
def main(network, dataset, data_dir, image_size, precision, batch_size, steps, rounds, same):
    import keras

    from keras_selectscale import data
    from keras_selectscale.cli.group import input_errors
    from keras_selectscale.training import Recipe, build_model, fuse_normalization

    with input_errors():
        images = data.load(dataset, data_dir=data_dir, image_size=image_size)
        recipe = Recipe(
            network=network,
            dataset=dataset,
            drop="selectscale",
            batch_size=batch_size,
            precision=precision,
        )
        model = build_model(recipe, images, data.steps_per_epoch(images, batch_size))
    fuse_normalization(model)  # As every training does.
    on_device = keras.backend.backend() == "jax" and images.in_memory
    prepare = device_work if on_device else host_work
    train_real, train_ready, batch = prepare(model, images, batch_size, same)

    def seconds(work):
        # The pause lets the pipeline refill its buffer after the previous round. The first steps
        # then empty it, so that every measured step needs a new batch.
        time.sleep(PAUSE)
        for _ in range(LEAD):
            work()
        started = time.perf_counter()
        for _ in range(steps):
            work()
        return time.perf_counter() - started

    for warm_up in (batch, train_real, train_ready, train_real, train_ready):
        warm_up()
    times = {train_real: [], train_ready: []} if not same else {"real": [], "ready": []}
    works = dict(zip(times, (train_real, train_ready), strict=True))
    for number in range(rounds):
        for name in list(works)[:: 1 if number % 2 else -1]:
            times[name].append(seconds(works[name]))
    # Empties the buffer first, so that ready batches do not count.
    for _ in range(ALONE // 4):
        batch()
    started = time.perf_counter()
    for _ in range(ALONE):
        batch()
    alone = time.perf_counter() - started
    real, ready = times.values()
    count = steps * batch_size
    low, middle, high = statistics.quantiles(
        [r / s for r, s in zip(real, ready, strict=True)], n=4, method="inclusive"
    )
    where = "on the device" if on_device else "tf.data"
    print(f"{where}, alone: {ALONE * batch_size / alone:,.0f} images/s")
    print(
        f"training {network} in {precision} on {keras.backend.backend()}: "
        f"{count / statistics.median(real):,.0f} images/s"
    )
    print(f"real over ready: {middle:.3f} ({low:.3f} to {high:.3f})")


if __name__ == "__main__":
    main()
