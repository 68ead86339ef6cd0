"""The random state of a drop layer."""

import numbers
from typing import Any

import keras

from keras_selectscale.layers.backends import fast_call

STATE_KEY = "seed_state"
# What the state of every backend holds: int64 on TensorFlow, uint32 on JAX, int32 on PyTorch.
MAX_SEED = 2**31 - 1


class DropSeedGenerator(keras.random.SeedGenerator):
    """A `keras.random.SeedGenerator` that differs between replicas and can be saved.

    Keras keeps the state of its seed generators out of `weights`, and so out of every file, and
    under `tf.distribute` gives all replicas the same draws. Here each replica folds its number
    into the seed, and `save_seed_state` and `load_seed_state` carry the state in the layer's own
    part of a `.keras` or `.weights.h5` file.
    """

    def next(self, ordered: bool = True) -> Any:
        """Returns the seed of the next draw, a tensor of shape (2,), and advances the state."""
        fast = fast_call("next_seed") if ordered else None
        seed = super().next(ordered=ordered) if fast is None else fast(self.state)
        return fold_in_replica(seed)


def as_seed(value: object) -> int | None:
    """Returns a valid `seed`, or raises naming the argument."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(
            "Argument `seed` must be an integer or None. "
            f"Received: seed={value!r} (of type {type(value).__name__})"
        )
    seed = int(value)
    if not 0 <= seed <= MAX_SEED:
        raise ValueError(
            f"Argument `seed` must be between 0 and {MAX_SEED}. Received: seed={value!r}"
        )
    return seed


def fold_in_replica(seed: Any) -> Any:
    """Returns `seed` changed by the number of the `tf.distribute` replica that is computing."""
    if keras.backend.backend() != "tensorflow":
        return seed
    import tensorflow as tf

    replica = tf.distribute.get_replica_context()
    if replica is None or replica.num_replicas_in_sync == 1:
        return seed
    return tf.random.fold_in(seed, replica.replica_id_in_sync_group)


def save_seed_state(generator: keras.random.SeedGenerator, store: dict) -> None:
    """Writes the state into a layer's `store` of `save_own_variables`."""
    # One dtype for all backends: theirs are int64, uint32 and int32.
    state = keras.ops.convert_to_numpy(generator.state.value)
    store[STATE_KEY] = state.astype("int64")


def load_seed_state(generator: keras.random.SeedGenerator | None, store: dict) -> dict:
    """Restores the state from a layer's `store` and returns the store without it.

    Args:
        generator: What gets the state. It stays as it is if the store holds none, written before
            the layer had a state, or by another layer. `None` ignores the state.
        store: As `load_own_variables` gets it.
    """
    if STATE_KEY not in store.keys():
        return store
    if generator is not None:
        state = keras.ops.convert_to_numpy(store[STATE_KEY]).astype("int64")
        # The seeds are 32 bits wide: a signed dtype holds the same bits as a negative number.
        dtype = keras.backend.standardize_dtype(generator.state.dtype)
        generator.state.assign(state.astype("uint32").astype(dtype) if dtype != "int64" else state)
    return {key: store[key] for key in store.keys() if key != STATE_KEY}
