"""What one observation of `DropDiagnostics` costs, next to one training step, measured in turns.

    python benchmarks/diagnostics_cost.py [--network resnet-20] [--rounds 7]

Prints the median of the ratio, and the share of an epoch with 39 and with 390 steps (5,000 and
50,000 images) that one observation takes.
"""

import argparse
import statistics

import keras
import numpy as np

from keras_selectscale import DropDiagnostics, models
from keras_selectscale.benchmarking.interleaving import interleaved
from keras_selectscale.layers import SelectScale


def main() -> None:
    """Measures and prints one line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", default="resnet-20")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    random = np.random.default_rng(0)
    images = random.normal(size=(128, 32, 32, 3)).astype("float32")
    labels = random.integers(0, 10, 128)
    drop = SelectScale(top_rate=0.2, retaining_rate=0.4, seed=1)
    model = models.build(options.network, input_shape=(32, 32, 3), classes=10, drop=drop)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.01), loss)
    diagnostics = DropDiagnostics(images[:64])
    diagnostics.set_model(model)
    diagnostics.on_train_begin()
    timings = interleaved(
        {
            "step": lambda: model.train_on_batch(images, labels),
            "observation": lambda: diagnostics.on_epoch_end(0),
        },
        rounds=options.rounds,
        seconds=0.5,
    )
    pairs = zip(timings.seconds["observation"], timings.seconds["step"], strict=True)
    steps = statistics.median(observed / step for observed, step in pairs)
    print(
        f"{keras.backend.backend()}, {options.network}: one observation takes as long as "
        f"{steps:.2f} training steps, {100 * steps / 39:.2f}% of an epoch with 39 steps and "
        f"{100 * steps / 390:.3f}% of one with 390"
    )


if __name__ == "__main__":
    main()
