"""SGD with the weight decay of the papers."""

import contextlib
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_selectscale.checks import ArgumentValueError, as_number
from keras_selectscale.layers.configs import create
from keras_selectscale.layers.feature_maps import FeatureMaps
from keras_selectscale.object_checks import as_boolean

LARGEST = 1e38  # It becomes float32.


@keras.saving.register_keras_serializable(package="keras_selectscale")
class CoupledSGD(keras.optimizers.SGD):
    """SGD whose weight decay is an L2 gradient inside the momentum.

    The λ of the papers, and of PyTorch, is added to the gradient: g + λ·w.
    `keras.optimizers.SGD(weight_decay=λ)` shrinks the weights outside the momentum; at momentum
    0.9, the same number is about ten times too weak there. As in the papers' code, every trainable
    weight decays.

    Args:
        learning_rate: Number of at least 0, or a `LearningRateSchedule` or other callable.
        momentum: In [0, 1].
        nesterov: Whether to use Nesterov's momentum.
        l2: λ, at least 0.
        name: Name of the optimizer.
        **kwargs: Further arguments of `keras.optimizers.SGD`.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If an argument is out of range.

    Reference:
        Zagoruyko & Komodakis, BMVC 2016.
    """

    def __init__(
        self,
        learning_rate: Any = 0.1,
        momentum: float = 0.9,
        nesterov: bool = True,
        l2: float = 5e-4,
        name: str = "coupled_sgd",
        **kwargs: Any,
    ):
        if not callable(learning_rate) or isinstance(learning_rate, type):
            learning_rate = as_number("learning_rate", learning_rate, 0, LARGEST)
        for key in ("weight_decay", "clipnorm", "global_clipnorm", "clipvalue"):
            if kwargs.get(key) is not None:
                kwargs[key] = as_number(key, kwargs[key], 0, LARGEST)
        super().__init__(
            learning_rate=learning_rate,
            momentum=as_number("momentum", momentum, 0, 1),
            nesterov=as_boolean("nesterov", nesterov),
            name=name,
            **kwargs,
        )
        self.l2 = as_number("l2", l2, 0, LARGEST)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Updates `variable` by its gradient plus λ times the variable."""
        if self.l2:
            gradient = ops.cast(gradient, variable.dtype) + self.l2 * variable
        super().update_step(gradient, variable, learning_rate)

    # A `.keras` file with this optimizer needs the package, too.
    save_assets = FeatureMaps.save_assets

    def _backend_update_step(
        self, grads: Sequence[Any], trainable_variables: Sequence[Any], learning_rate: Any
    ) -> None:
        """Updates all variables; on JAX, an accelerator updates vectors of one size together."""
        if keras.backend.backend() == "jax":
            from keras_selectscale.optimizers import jax_updates

            grads = jax_updates.gathered(grads)
        super()._backend_update_step(grads, trainable_variables, learning_rate)

    def get_config(self) -> dict[str, Any]:
        """Returns every argument."""
        return {**super().get_config(), "l2": self.l2}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "CoupledSGD":
        """Creates the optimizer from `get_config()`."""
        with keras.saving.custom_object_scope(custom_objects or {}):
            try:
                return create(cls, config, ("learning_rate",))
            except ArgumentValueError as error:
                key = "" if error.argument else _culprit(config)
                if not key:
                    raise
                raise ArgumentValueError.about(key, f"{error} (the key `{key}`)") from None


def _culprit(config: Any) -> str:
    """Returns the key without which the optimizer can be created, or an empty string.

    Keras checks its own arguments without naming them all.
    """
    for key in config if isinstance(config, dict) else ():
        with contextlib.suppress(Exception):
            CoupledSGD(**{name: value for name, value in config.items() if name != key})
            return key
    return ""
