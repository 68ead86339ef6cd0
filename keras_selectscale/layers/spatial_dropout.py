"""Dropout of whole feature maps, Eq. (3) of the paper."""

from typing import Any

import keras

from keras_selectscale.layers import bernoulli, rates
from keras_selectscale.layers.feature_drop import FeatureDrop


@keras.saving.register_keras_serializable(package="keras_selectscale")
class SpatialDropout(FeatureDrop):
    """Drops whole feature maps at random and scales the others up.

    The units of one map are strongly correlated, so that dropping some of them hides little from
    the next layer. This layer drops the whole map. One layer serves every rank, where Keras has
    three.

        y = r * x / p,   r ~ Bernoulli(p) for each feature map of each sample

    Args:
        retaining_rate: p in (0, 1], the share of maps that is kept, or a schedule of it. Keras'
            `rate` is 1 - p. 1 is the identity.
        {shared}

    Example:

    ```python
    keras.Sequential([keras.layers.Conv2D(16, 3), SpatialDropout(retaining_rate=0.9)])
    ```

    Reference:
        Tompson et al., CVPR 2015; Eq. (3) of Chen et al., IJCAI 2020.
    """

    method_name = "spatial-dropout"
    method_title = "SpatialDropout"
    method_defaults = {"retaining_rate": 0.9}
    method_space = {"retaining_rate": rates.DROPOUT_RATES}
    divides_by_retaining_rate = True

    def draw_factor(self, inputs: Any, retaining_rate: Any) -> Any:
        """Draws r / p of shape (batch, 1, …, channels)."""
        return bernoulli.inverted_bernoulli(
            self.map_shape(inputs), retaining_rate, self.dtype_of(inputs), self.seed_generator
        )
