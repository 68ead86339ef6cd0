"""Random weights for all feature maps, Eq. (5) of the paper."""

from typing import Any

import keras

from keras_selectscale.layers import factors, rates
from keras_selectscale.layers.feature_drop import FeatureDrop


@keras.saving.register_keras_serializable(package="keras_selectscale")
class SpatialScale(FeatureDrop):
    """Scales whole feature maps by random weights instead of dropping them.

    It is milder than `SpatialDropout` and easier to tune: no map is lost, and the mean is kept
    without a division.

        y = r * x,   r ~ Uniform(q, 2 - q) for each feature map of each sample

    Here q is the *retaining rate*, as in the paper's tables, its Figure 4 and its text: 0 is the
    strongest, Uniform(0, 2), and 1 is the identity. Eq. (5) prints Uniform(1 - q, 1 + q), in which
    q is the *half-width* of the noise, `1 - retaining_rate`.

    Args:
        retaining_rate: q in [0, 1], or a schedule of it.
        {shared}

    Example:

    ```python
    keras.Sequential([keras.layers.Conv2D(16, 3), SpatialScale(retaining_rate=0.4)])
    ```

    Reference:
        Eq. (5) of Chen et al., IJCAI 2020.
    """

    method_name = "spatial-scale"
    method_title = "SpatialScale"
    method_defaults = {"retaining_rate": 0.4}
    method_space = {"retaining_rate": rates.SCALE_RATES}

    @property
    def may_drop(self) -> bool:
        """Whether a factor may be 0: the rate is 0, or a schedule may reach 0."""
        return self.retaining_rate == 0.0 or self._is_scheduled

    def draw_factor(self, inputs: Any, retaining_rate: Any) -> Any:
        """Draws r of shape (batch, 1, ..., channels)."""
        shape, half_width = self.map_shape(inputs), 1.0 - retaining_rate
        return factors.uniform_around_one(
            shape, half_width, self.dtype_of(inputs), self.seed_generator
        )
