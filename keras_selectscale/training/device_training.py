"""Training on JAX with the images on the device and many steps a dispatch."""

import functools
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_selectscale.data import ImageData, device_batches, steps_per_epoch
from keras_selectscale.training.devices import Devices


def fit_on_device(
    model: keras.Model,
    images: ImageData,
    *,
    batch_size: int,
    seed: int,
    first_step: int,
    epochs: int,
    devices: Devices,
    callbacks: Sequence[keras.callbacks.Callback],
) -> None:
    """Trains as `keras.Model.fit` does, on images that never leave the device.

    `fit` asks the host for every batch. Here a dispatch is a compiled loop over many steps, each of
    which picks, augments and normalises its images and is Keras' own `train_step`. The order is a
    function of the seed and the epoch, the augmentation one of the seed and the step, so that a
    run goes on anywhere.

    Args:
        model: Compiled, on the JAX backend, its metrics built.
        images: What to train on.
        batch_size: Images a step.
        seed: Decides order and augmentation.
        first_step: Steps that are done.
        epochs: Epochs of the whole run.
        devices: Where it trains; its scope is entered.
        callbacks: Of Keras. `on_train_batch_end` comes after each dispatch, with the number of its
            last step.
    """
    import jax
    import jax.numpy as jnp

    batch_sharding, whole_sharding = devices.shardings()
    source = device_batches.on_device(images, whole_sharding)
    steps = steps_per_epoch(images, batch_size)

    def make(source: Any, order: Any, epoch: Any, number: Any, size: int) -> Any:
        chosen = jax.lax.dynamic_slice(order, (number * batch_size,), (size,))
        batch = device_batches.make_batch(
            source, chosen, images.augmentation, seed, epoch * steps + number
        )
        if batch_sharding is None:
            return batch
        return jax.lax.with_sharding_constraint(batch, batch_sharding)

    def whole(state: Any, logs: Any) -> tuple[Any, Any]:
        if whole_sharding is None:
            return state, logs
        return jax.lax.with_sharding_constraint((state, logs), whole_sharding)

    def train_step(state: Any, batch: Any) -> tuple[Any, Any]:
        logs, state = model.train_step(state, batch)
        return whole(state, jax.tree.map(lambda value: value[None], logs))

    def train_steps(
        state: Any, source: Any, order: Any, epoch: Any, first: Any, count: int, size: int
    ) -> tuple[Any, Any]:
        def one(state: Any, number: Any) -> tuple[Any, Any]:
            logs, state = model.train_step(state, make(source, order, epoch, number, size))
            return state, logs

        return whole(*jax.lax.scan(one, state, first + jnp.arange(count)))

    many = jax.jit(train_steps, static_argnames=("count", "size"), donate_argnums=0)
    # By itself a step is faster on a batch that lies ready than on one that it makes.
    ready, single = jax.jit(make, static_argnames="size"), jax.jit(train_step, donate_argnums=0)

    def dispatch(
        state: Any, source: Any, order: Any, epoch: Any, first: Any, count: int, size: int
    ) -> tuple[Any, Any]:
        if count > 1:
            return many(state, source, order, epoch, first, count=count, size=size)
        return single(state, ready(source, order, epoch, first, size=size))

    shuffle = jax.jit(
        functools.partial(device_batches.epoch_order, images.train_count, seed),
        out_shardings=whole_sharding,
    )
    listeners = keras.callbacks.CallbackList(callbacks, model=model, epochs=epochs, steps=steps)
    model.stop_training = False
    listeners.on_train_begin()
    for epoch in range(first_step // steps, epochs):
        begin = first_step - epoch * steps if epoch == first_step // steps else 0
        model.reset_metrics()
        listeners.on_epoch_begin(epoch)
        order = shuffle(epoch)
        # The protocol of `fit`: a callback that wants the variables calls `jax_state_sync`.
        model._jax_state_synced = True
        for first, count, size in _dispatches(
            begin, images.train_count, batch_size, devices.steps_at_a_time()
        ):
            listeners.on_train_batch_begin(first - begin)
            if model._jax_state_synced:
                state = model._get_jax_state(
                    trainable_variables=True,
                    non_trainable_variables=True,
                    optimizer_variables=True,
                    metrics_variables=True,
                    purge_model_variables=True,
                )
                model._jax_state_synced = False
            state, logs = dispatch(state, source, order, epoch, first, count=count, size=size)
            names = ("trainable", "non_trainable", "optimizer", "metrics")
            model._jax_state = {
                f"{name}_variables": values for name, values in zip(names, state, strict=True)
            }
            rows = {name: np.asarray(values) for name, values in logs.items()}
            # The mean loss stays what it is once it is not finite: the step is where it began.
            bad = np.flatnonzero(~np.isfinite(rows["loss"]))
            last = int(bad[0]) if bad.size else count - 1
            listeners.on_train_batch_end(
                first - begin + last, {name: float(values[last]) for name, values in rows.items()}
            )
            if model.stop_training:
                break
        model.jax_state_sync()
        logs = {name: float(value) for name, value in model.get_metrics_result().items()}
        listeners.on_epoch_end(epoch, logs)
        if model.stop_training:
            break
    listeners.on_train_end()
    model._jax_state = None


def _dispatches(begin: int, images: int, batch_size: int, most: int) -> Any:
    """Yields the first step, the number of steps and the batch size of each dispatch of an epoch.

    They start at multiples of `most`, wherever a run goes on, so that it goes on with the same
    compiled loops. The last batch has a dispatch of its own where it is smaller.
    """
    whole, rest = divmod(images, batch_size)
    first = begin
    while first < whole:
        count = min(most - first % most, whole - first)
        yield first, count, batch_size
        first += count
    if rest and first == whole:
        yield whole, 1, rest
