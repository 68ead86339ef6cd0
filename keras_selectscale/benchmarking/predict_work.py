"""`mc_predict` next to a compiled function that is called once per sample."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

from keras_selectscale import models, surgery
from keras_selectscale.benchmarking.interleaving import interleaved
from keras_selectscale.benchmarking.summaries import compared
from keras_selectscale.layers import SelectScale

NETWORK, IMAGES = "resnet-20", (1, 64)


def measure(options: Any, say: Callable[[str], Any]) -> Iterator[dict[str, Any]]:
    """Yields the rows: time per sample for one and for 64 images; see `scale.run_scale`."""
    keras.utils.set_random_seed(options.seed)
    drop = SelectScale(top_rate=0.2, retaining_rate=0.2, seed=options.seed)
    model = models.build(NETWORK, drop=drop)
    samples = options.samples
    for count in IMAGES:
        say(f"predict  {NETWORK}  {count} images")
        shape = (count, *model.input_shape[1:])
        images = np.random.default_rng(options.seed).random(shape, np.float32)
        call = _compiled(model, images)

        def by_hand(call=call):
            drawn = np.stack([call() for _ in range(samples)])
            return drawn.mean(0), drawn.std(0)

        def ours(images=images):
            return surgery.mc_predict(model, images, samples)

        timings = interleaved(
            {"ours": ours, "peer": by_hand},
            rounds=options.rounds,
            seconds=1e-6,
            clock=time.perf_counter,
        )
        each = {
            side: [1000 * seconds / samples for seconds in found]
            for side, found in timings.seconds.items()
        }
        yield compared(f"{NETWORK}, {count} images", "ms per sample", **each)


def _compiled(model: Any, images: np.ndarray) -> Callable[[], np.ndarray]:
    """Returns a function that computes the outputs of one sample."""
    with surgery.drops_active(model):
        if keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            function = tf.function(lambda x: model(x))
            function(tf.constant(images))
            return lambda: function(tf.constant(images)).numpy()
    tensor = keras.ops.convert_to_tensor(images)

    def call() -> np.ndarray:
        with surgery.drops_active(model):
            return model.predict_on_batch(tensor)

    return call
