"""A custom drop method, and its selecting version.

A drop method is its factor: a subclass of `FeatureDrop` defines how the factor is drawn and
inherits the training flag, the seed and its saving, schedules, checks and the config.

python examples/own_method.py

Prints:

    every map: the factors of the five maps of each sample
    [[-1.  1. -1.  1.  1.]
     [ 1.  1. -1.  1. -1.]
     [ 1.  1.  1.  1. -1.]
     [ 1.  1.  1.  1.  1.]]
    top 40%: the factors of the five maps of each sample
    [[ 1.  1.  1.  1.  1.]
     [ 1. -1.  1.  1.  1.]
     [ 1.  1.  1.  1.  1.]
     [ 1.  1.  1.  1.  1.]]
    the maps by their largest value, the two highest of which may flip above
    [[4 1 2 5 3]
     [5 1 4 3 2]
     [4 5 2 1 3]
     [1 5 3 4 2]]
"""

import keras
import numpy as np
from keras import ops

from keras_selectscale import FeatureDrop, Selective


@keras.saving.register_keras_serializable(package="examples")
class SignFlip(FeatureDrop):
    """Flips the sign of whole feature maps with probability 1 - retaining_rate."""

    def draw_factor(self, inputs, retaining_rate):
        noise = keras.random.uniform(self.map_shape(inputs), seed=self.seed_generator)
        return ops.where(noise < retaining_rate, 1.0, -1.0)


def main() -> None:
    maps = np.random.default_rng(0).uniform(size=(4, 4, 6, 5)).astype("float32")
    drop = SignFlip(retaining_rate=0.5, seed=1)
    for name, layer in (("every map", drop), ("top 40%", Selective(drop, top_rate=0.4))):
        factor = ops.convert_to_numpy(layer(maps, training=True)) / maps
        print(f"{name}: the factors of the five maps of each sample\n{factor[:, 0, 0].round()}")
        assert np.array_equal(ops.convert_to_numpy(layer(maps)), maps), "gone in inference"
    print(
        f"the maps by their largest value, the two highest of which may flip above\n"
        f"{np.argsort(np.argsort(-maps.max((1, 2)))) + 1}"
    )


if __name__ == "__main__":
    main()
