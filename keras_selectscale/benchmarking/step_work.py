"""A training step of a network, as Keras compiles it."""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_selectscale import models
from keras_selectscale.benchmarking.layer_sides import make_layer
from keras_selectscale.benchmarking.layer_work import Work
from keras_selectscale.models.dtype_policy import dtype_policy
from keras_selectscale.training import fuse_normalization
from keras_selectscale.training.device_loop import jax_state

# The policy of a network for each precision of the layers; its weights stay float32.
POLICIES = {
    "float32": "float32",
    "bfloat16": "mixed_bfloat16",
    "float16": "mixed_float16",
}


class NetworkError(ValueError):
    """The name of a network has an invalid depth or width."""


def make_network(
    network: str,
    drop: str,
    *,
    mode: str,
    precision: str,
    seed: int,
    fused_normalization: bool = True,
) -> keras.Model:
    """Returns a network with a drop at every site, compiled for training.

    Args:
        network: Name for `models.build`.
        drop: One of `layer_sides.SIDES`, or `"none"`.
        mode: One of `backend_modes.modes()`.
        precision: One of `POLICIES`.
        seed: Determines weights and drops.
        fused_normalization: Whether to normalize with the backend's kernel, as `train` does.

    Raises:
        NetworkError: If the network's depth or width is invalid.
    """
    keras.utils.set_random_seed(seed)
    with dtype_policy(POLICIES[precision]):
        layer = make_layer(drop, dtype=None, seed=seed)
        try:
            model = models.build(network, drop=layer, data_format="channels_last")
        except ValueError as error:
            raise NetworkError(f"{error} (networks={network!r})") from None
        model.compile(
            optimizer=keras.optimizers.SGD(0.01, momentum=0.9),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
            jit_compile=mode in ("xla", "jit"),
        )
    if fused_normalization:
        fuse_normalization(model)
    return model


def make_batch(model: keras.Model, batch_size: int, seed: int) -> tuple[Any, Any]:
    """Returns random images and labels for a network, as tensors on the device."""
    generator = np.random.default_rng(seed)
    images = generator.standard_normal((batch_size, *model.input_shape[1:]), "float32")
    labels = generator.integers(model.output_shape[-1], size=batch_size).astype("int32")
    return ops.convert_to_tensor(images), ops.convert_to_tensor(labels)


def step_work(model: keras.Model, batch: tuple[Any, Any]) -> Work:
    """Returns a function that takes a training step on a batch.

    It is the function that `fit` compiles and calls, without the work of `fit` around it. Each step
    continues from the weights of the previous one.

    Args:
        model: Compiled.
        batch: Images and labels on the device.
    """
    _build_state(model, batch)
    model.make_train_function()
    if keras.backend.backend() != "jax":
        return lambda: model.train_function([batch])
    state = jax_state(model)

    def work() -> Any:
        nonlocal state
        logs, state = model.train_function(state, iter([batch]))
        return logs, state

    return work


def _build_state(model: keras.Model, batch: tuple[Any, Any]) -> None:
    """Builds the variables of optimizer and metrics, as `fit` does before the first step."""
    images, labels = batch[0][:1], batch[1][:1]
    predictions = model(images, training=False)
    model.compute_loss(x=images, y=labels, y_pred=predictions, training=False)
    model.compute_metrics(images, labels, predictions)
    model.reset_metrics()
    model.optimizer.build(model.trainable_variables)
