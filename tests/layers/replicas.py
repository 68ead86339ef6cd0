"""Draws on two replicas of one machine, and prints what came of it as JSON.

Run by `test_drop_seed_generator.py` in a process of its own: devices are fixed when TensorFlow
starts, and a failure here may be a hang.
"""

import json

import keras
import numpy as np
import tensorflow as tf

from keras_selectscale import Selective, linear_curriculum
from tests.layers import drawing

STEPS = 6


def draw(strategy, make):
    """Returns the outputs of both replicas over two steps, eager-built and traced."""
    with strategy.scope():
        layer = make()
        layer.build((4, 3, 24))

    @tf.function
    def step():
        return strategy.run(lambda: layer(tf.ones((4, 3, 24)), training=True))

    return [[value.numpy() for value in step().values] for _ in range(2)]


def fit(strategy):
    """Returns what a training with a schedule leaves of the layer's count."""
    with strategy.scope():
        schedule = linear_curriculum(0.2, STEPS)
        drop = drawing.LAYERS["SelectScale"](retaining_rate=schedule, seed=1)
        inputs = keras.Input((3, 8))
        # Two calls in one model are one step.
        outputs = drop(drop(keras.layers.Dense(8)(inputs)))
        model = keras.Model(inputs, outputs)
        model.compile(optimizer="sgd", loss="mse")
    samples = np.ones((16, 3, 8), "float32")
    batches = tf.data.Dataset.from_tensor_slices((samples, samples)).batch(8)
    history = model.fit(batches, epochs=STEPS // 2, verbose=0)
    count = int(drop.training_calls.numpy())
    return {"finite": bool(np.isfinite(history.history["loss"]).all()), "count": count}


def main():
    device = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(device, [tf.config.LogicalDeviceConfiguration()] * 2)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    report = {}
    layers = {
        **{name: lambda make=make: make(seed=3) for name, make in drawing.LAYERS.items()},
        "Selective": lambda: Selective(
            drawing.LAYERS["SpatialScale"](seed=3), top_rate=0.5, data_format="channels_last"
        ),
    }
    for name, make in layers.items():
        if name == "Selectout":  # Ones leave it no choice among its candidates.
            make = lambda: drawing.LAYERS["Selectout"](seed=3, top_rate=1.0)  # noqa: E731
        first, second = draw(strategy, make)
        again, _ = draw(strategy, make)
        report[name] = {
            "replicas_differ": bool(np.any(first[0] != first[1])),
            "steps_differ": bool(np.any(first[0] != second[0])),
            "repeatable": bool(
                all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
            ),
        }
    report["fit"] = fit(strategy)
    print(json.dumps(report))


if __name__ == "__main__":
    main()
