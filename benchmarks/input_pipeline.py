"""Whether training waits for its images: the pipeline's speed beside that of the training step.

python benchmarks/input_pipeline.py --network resnet-20 --dataset cifar10 --data-dir DIR

Prints the images a second of the pipeline alone and of training, and the median over rounds of the
time of some training steps on real batches over that of as many on one batch that lies ready, the
two taken in turns in one process.
"""

import statistics
import time

import click


@click.command()
@click.option("--network", default="resnet-20", show_default=True)
@click.option("--dataset", default="digits", show_default=True)
@click.option("--data-dir")
@click.option("--batch-size", default=128, show_default=True)
@click.option("--steps", default=20, show_default=True, help="Steps of one round.")
@click.option("--rounds", default=5, show_default=True)
def main(network, dataset, data_dir, batch_size, steps, rounds):
    from keras_selectscale import data
    from keras_selectscale.training import Recipe, build_model

    images = data.load(dataset, data_dir=data_dir)
    recipe = Recipe(network=network, dataset=dataset, drop="selectscale", batch_size=batch_size)
    model = build_model(recipe, images, data.steps_per_epoch(images, batch_size))
    batches = iter(data.training_batches(images, batch_size=batch_size, seed=0))
    ready = next(batches)

    def full_batch():
        while True:  # The last batch of an epoch is smaller.
            batch = next(batches)
            if len(batch[1]) == batch_size:
                return batch

    def seconds(work):
        started = time.perf_counter()
        for _ in range(steps):
            work()
        return time.perf_counter() - started

    def train_real():
        model.train_on_batch(*full_batch())

    def train_ready():
        model.train_on_batch(*ready)

    for warm_up in (full_batch, train_real, train_ready):
        warm_up()
    alone, real, synthetic = [], [], []
    for _ in range(rounds):
        real.append(seconds(train_real))
        synthetic.append(seconds(train_ready))
        alone.append(seconds(full_batch))
    count = steps * batch_size
    ratio = statistics.median(r / s for r, s in zip(real, synthetic, strict=True))
    print(f"pipeline alone: {count / statistics.median(alone):,.0f} images/s")
    print(f"training {network}: {count / statistics.median(real):,.0f} images/s")
    print(f"step on real batches over step on a batch that lies ready: {ratio:.3f}")


if __name__ == "__main__":
    main()
