"""Random numbers."""

from typing import Any

import keras

from keras_selectscale.layers.backends import fast_call


def uniform(shape: Any, minval: float, maxval: float, seed: keras.random.SeedGenerator) -> Any:
    """Draws float32 numbers from [minval, maxval), as `keras.random.uniform` does.

    Args:
        shape: Shape of the result.
        minval: Lowest value.
        maxval: End of the range.
        seed: Random state, advanced by one.
    """
    fast = fast_call("uniform")
    if fast is not None:
        return fast(shape, minval, maxval, seed)
    return keras.random.uniform(shape, minval, maxval, dtype="float32", seed=seed)
