"""First step, memory and surgery of deep networks, next to Keras' SpatialDropout2D.

Each measurement is a new process, and the sides take turns. The first step contains its
compilation. The peak is the operating system's, less the memory in use after the imports.

    python benchmarks/deep_networks.py --rounds 3
"""

import json
import os
import statistics
import subprocess
import sys
import time

import click

SIDES = "keras-spatial-dropout", "selectscale"


def first_step(network, side, batch_size):
    """Prints the seconds and the MiB of the first training step with a drop at every site."""
    from keras_selectscale.benchmarking import peak_memory
    from keras_selectscale.benchmarking.step_work import make_batch, make_network

    peak_memory.reset_peaks()
    before = peak_memory.of_process().now
    model = make_network(network, side, mode="graph", precision="float32", seed=0)
    batch = make_batch(model, batch_size, 0)
    wall, cpu = time.perf_counter(), time.process_time()
    model.train_on_batch(*batch)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    print(json.dumps([wall, cpu, (peak_memory.of_process().peak - before) / 2**20]))


def surgery(application):
    """Prints the seconds that building a network of `keras.applications` and the surgery take."""
    import keras

    from keras_selectscale import SelectScale
    from keras_selectscale.surgery import insert_drops

    times = [time.perf_counter()]
    model = getattr(keras.applications, application)(weights=None)
    times.append(time.perf_counter())
    insert_drops(model, SelectScale(top_rate=0.2, retaining_rate=0.2), after="conv")
    times.append(time.perf_counter())
    print(json.dumps([times[1] - times[0], times[2] - times[1]]))


def alone(*arguments):
    """Returns what a function of this file prints in a new process."""
    done = subprocess.run(
        [sys.executable, __file__, "--alone", json.dumps(arguments)],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise click.ClickException((done.stderr.strip().splitlines() or ["it failed"])[-1])
    return json.loads(done.stdout.strip().splitlines()[-1])


@click.command(help=__doc__)
@click.option("--network", default="resnet-110", show_default=True)
@click.option("--application", default="EfficientNetV2L", show_default=True)
@click.option("--batch-size", type=click.IntRange(min=1), default=128, show_default=True)
@click.option("--rounds", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--alone", "wanted", hidden=True)
def main(network, application, batch_size, rounds, wanted):
    if wanted:
        function, *arguments = json.loads(wanted)
        {"step": first_step, "surgery": surgery}[function](*arguments)
        return
    found = {side: [] for side in SIDES}
    for number in range(rounds):
        for side in SIDES if number % 2 else SIDES[::-1]:
            found[side].append(alone("step", network, side, batch_size))
            print(f"{network}  {side}  round {number + 1}", file=sys.stderr)
    peer, ours = (list(zip(*found[side], strict=True)) for side in SIDES)
    print("| first step | SpatialDropout2D | SelectScale | ratio |")
    print("| --- | ---: | ---: | ---: |")
    for what, theirs, own in zip(("s", "CPU s", "MiB"), peer, ours, strict=True):
        ratio = statistics.median(a / b for a, b in zip(own, theirs, strict=True))
        values = (statistics.median(each) for each in (theirs, own))
        print(
            f"| {network}, {what} | {' | '.join(f'{each:.1f}' for each in values)} | {ratio:.2f} |"
        )
    if application:
        times = [alone("surgery", application) for _ in range(rounds)]
        built, inserted = (statistics.median(each) for each in zip(*times, strict=True))
        print(f"{application}: built in {built:.1f} s, insert_drops in {inserted:.1f} s")


if __name__ == "__main__":
    main()
