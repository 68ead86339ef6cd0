"""SGD with the weight decay of the papers."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_selectscale")
class CoupledSGD(keras.optimizers.SGD):
    """SGD whose weight decay is an L2 gradient inside the momentum.

    The λ of the papers, and of PyTorch, is added to the gradient: g + λ·w. `keras.optimizers.SGD(
    weight_decay=λ)` shrinks the weights beside the momentum instead; the same number is about ten
    times too weak there at momentum 0.9. As in the papers' code, every trainable weight decays.

    Args:
        learning_rate: Float or schedule.
        momentum: In [0, 1].
        nesterov: Whether to use Nesterov's momentum.
        l2: λ, at least 0.
        **kwargs: Further arguments of `keras.optimizers.SGD`.

    Raises:
        ValueError: Where `l2` is negative.

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
        super().__init__(
            learning_rate=learning_rate, momentum=momentum, nesterov=nesterov, name=name, **kwargs
        )
        if not l2 >= 0:
            raise ValueError(f"Argument `l2` must be at least 0. Received: l2={l2!r}")
        self.l2 = l2

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Updates `variable` by its gradient with λ times the variable added."""
        if self.l2:
            gradient = ops.cast(gradient, variable.dtype) + self.l2 * variable
        super().update_step(gradient, variable, learning_rate)

    def get_config(self) -> dict[str, Any]:
        """Returns every argument."""
        return {**super().get_config(), "l2": self.l2}
