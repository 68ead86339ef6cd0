"""DropPath, also called stochastic depth."""

from typing import Any

import keras

from keras_selectscale.layers import bernoulli, rates
from keras_selectscale.layers.feature_drop import FeatureDrop
from keras_selectscale.layers.feature_maps import checked_shape


@keras.saving.register_keras_serializable(package="keras_selectscale")
class DropPath(FeatureDrop):
    """Drops whole samples at random and scales the others up.

    On a residual branch, before the addition, it skips the branch for some samples of the batch, so
    that the network trains at a random depth.

        y = r * x / p,   r ~ Bernoulli(p) for each sample

    Args:
        retaining_rate: p in (0, 1], the probability that a sample is kept, or a schedule of it. 1
            is the identity.
        **kwargs: `data_format`, `seed`, `name`, `dtype` and `trainable`, as in `FeatureDrop`.

    Call arguments:
        inputs: Floating-point tensor of rank 2 or higher.
        training: Whether to draw. If `False` or omitted, `inputs` is returned unchanged.

    Input shape:
        (batch, ...).

    Output shape:
        Same as the input shape.

    Raises:
        TypeError: If `retaining_rate` is neither a number nor a schedule.
        ValueError: If an argument is out of range, or the input has no axis besides the batch.

    Example:

    ```python
    x = keras.layers.add([x, DropPath(retaining_rate=0.8)(branch)])
    ```

    Reference:
        Huang et al., "Deep Networks with Stochastic Depth", ECCV 2016, Section 3. There the branch
        is scaled by p at test time; here it is divided by p in training, as in inverted dropout.
    """

    method_name = "drop-path"
    method_title = "DropPath"
    method_defaults = {"retaining_rate": 0.9}
    method_space = {"retaining_rate": rates.DROPOUT_RATES}
    divides_by_retaining_rate = True

    def check_shape(self, shape: tuple[int | None, ...]) -> None:
        """Raises a `ValueError` if `shape` has no axis besides the batch."""
        shape = checked_shape(shape, type(self).__name__)
        if len(shape) < 2:
            raise ValueError(
                f"{type(self).__name__} expects `inputs` of rank 2 or higher: the batch axis and "
                f"at least one more. Received: inputs.shape={shape} (rank {len(shape)})"
            )

    def draw_factor(self, inputs: Any, retaining_rate: Any) -> Any:
        """Draws r / p of shape (batch, 1, ..., 1)."""
        shape = (self.map_shape(inputs)[0], *[1] * (len(inputs.shape) - 1))
        return bernoulli.inverted_bernoulli(
            shape, retaining_rate, self.dtype_of(inputs), self.seed_generator
        )
