"""Training on JAX with the images on the device and many steps per dispatch."""

import functools
from collections.abc import Sequence
from typing import Any

import keras

from keras_selectscale.data import Dataset, device_batches, steps_per_epoch
from keras_selectscale.data.device_batches import EvaluationSequence
from keras_selectscale.training.devices import Devices
from keras_selectscale.training.dispatches import dispatches, steps_per_dispatch
from keras_selectscale.training.late_logs import LateCallbackList


def fit(
    model: keras.Model,
    images: Dataset,
    *,
    batch_size: int,
    epochs: int,
    seed: int,
    first_step: int,
    validate: bool,
    devices: Devices,
    callbacks: Sequence[keras.callbacks.Callback],
) -> dict[str, list[float]]:
    """Trains like Keras' `fit`, on images that never leave the device.

    Keras' `fit` asks the host for every batch. Here one dispatch is a compiled loop over many
    steps. Each step selects, augments and normalizes its images and then calls Keras' own
    `train_step`. The loop follows the protocol of Keras' JAX trainer: the state lives outside the
    model during an epoch, and a callback that needs the variables calls `jax_state_sync`. That
    method reads two private attributes, which are used only here: `_jax_state` holds the state, and
    `_jax_state_synced` says whether the model has it. A public way to train with a custom loop and
    Keras' callbacks could replace them.

    The arguments are those of `training.fit.fit`; the metrics of `model` are built.
    """
    steps = steps_per_epoch(images, batch_size)
    at_a_time = steps_per_dispatch(devices, images.train_count // batch_size)
    run = _Steps(model, images, batch_size, seed, devices)
    held_out = EvaluationSequence(images, batch_size) if validate else None
    listeners = LateCallbackList(callbacks, model=model, epochs=epochs, steps=steps)

    def parts(epoch: int) -> list[tuple[int, int, int]]:
        begin = max(first_step - epoch * steps, 0)
        return list(dispatches(begin, images.train_count, batch_size, at_a_time))

    logs: dict[str, float] = {}
    model.stop_training = False
    listeners.on_train_begin()
    try:
        first_epoch = first_step // steps
        order = run.shuffle(first_epoch)
        run.compile(jax_state(model), order, [*parts(first_epoch), *parts(first_epoch + 1)])
        for epoch in range(first_epoch, epochs):
            begin = max(first_step - epoch * steps, 0)
            model.reset_metrics()
            listeners.on_epoch_begin(epoch)
            model._jax_state_synced = True
            for first, count, size in parts(epoch):
                listeners.on_train_batch_begin(first - begin)
                if model._jax_state_synced:
                    state = jax_state(model)
                    model._jax_state_synced = False
                state, rows = run.dispatch(state, order, epoch, first, count, size)
                names = ("trainable", "non_trainable", "optimizer", "metrics")
                model._jax_state = {
                    f"{name}_variables": values for name, values in zip(names, state, strict=True)
                }
                listeners.on_train_batch_end(first - begin + count - 1, rows)
                if model.stop_training:
                    break
            # Before the host waits for the last step.
            order = run.shuffle(epoch + 1)
            model.jax_state_sync()
            logs = {name: float(value) for name, value in model.get_metrics_result().items()}
            if held_out is not None:
                found = model.evaluate(held_out, callbacks=listeners, return_dict=True, verbose=0)
                logs |= {f"val_{name}": float(value) for name, value in found.items()}
            listeners.on_epoch_end(epoch, logs)
            if model.stop_training:
                break
        model.optimizer.finalize_variable_values(model.trainable_weights)
        listeners.on_train_end(logs)
    finally:
        model.jax_state_sync()
        model._jax_state = None
    return model.history.history


def jax_state(model: keras.Model) -> tuple[list[Any], ...]:
    """Returns the values of all variables, as Keras' `train_step` takes and returns them on JAX.

    If a compiled step donates them, the variables hold deleted arrays until new values are
    assigned.

    Args:
        model: Compiled, with a built optimizer and built metrics.
    """
    kinds = (
        model.trainable_variables,
        model.non_trainable_variables,
        model.optimizer.variables,
        model.metrics_variables,
    )
    return tuple([variable.value for variable in kind] for kind in kinds)


class _Steps:
    """The compiled functions of a training: an epoch's order, one step, and many steps."""

    def __init__(
        self, model: keras.Model, images: Dataset, batch_size: int, seed: int, devices: Devices
    ):
        import jax
        import jax.numpy as jnp

        batch_sharding, whole_sharding = devices.shardings()
        self.source = device_batches.on_device(images, whole_sharding)

        def make(source: Any, order: Any, epoch: Any, number: Any, size: int) -> Any:
            chosen = jax.lax.dynamic_slice(order, (number * batch_size,), (size,))
            step = epoch * steps_per_epoch(images, batch_size) + number
            batch = device_batches.make_batch(source, chosen, images.augmentation, seed, step)
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

        # What several devices return is known only once it is compiled.
        self._ahead = whole_sharding is None
        self._compiled: dict[tuple[int, int], list[Any]] = {}
        self._many = jax.jit(train_steps, static_argnames=("count", "size"), donate_argnums=0)
        # A single step is faster on a finished batch than on one that it makes itself.
        self._ready = jax.jit(make, static_argnames="size")
        self._single = jax.jit(train_step, donate_argnums=0)
        self.shuffle = jax.jit(
            functools.partial(device_batches.epoch_order, images.train_count, seed),
            out_shardings=whole_sharding,
        )

    def compile(self, state: Any, order: Any, parts: Sequence[tuple[int, int, int]]) -> None:
        """Compiles what the dispatches of an epoch need, before the first step is taken.

        Args:
            state: What `jax_state` returns.
            order: Order of an epoch.
            parts: What `dispatches` yields.
        """
        import jax

        for _, count, size in parts if self._ahead else ():
            if (count, size) in self._compiled:
                continue
            arguments = (state, self.source, order, 0, 0)
            if count > 1:
                compiled = [self._many.lower(*arguments, count=count, size=size).compile()]
            else:
                ready = self._ready.lower(*arguments[1:], size=size)
                batch = jax.eval_shape(functools.partial(self._ready, size=size), *arguments[1:])
                compiled = [ready.compile(), self._single.lower(state, batch).compile()]
            self._compiled[count, size] = compiled

    def dispatch(
        self, state: Any, order: Any, epoch: int, first: int, count: int, size: int
    ) -> tuple[Any, dict[str, Any]]:
        """Takes `count` steps and returns the state and the logs of each step, on the device."""
        compiled = self._compiled.get((count, size))
        arguments = (self.source, order, epoch, first)
        if count > 1:
            if compiled is not None:
                return compiled[0](state, *arguments)
            return self._many(state, *arguments, count=count, size=size)
        if compiled is not None:
            ready, single = compiled
            return single(state, ready(*arguments))
        return self._single(state, self._ready(*arguments, size=size))
