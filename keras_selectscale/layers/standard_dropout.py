"""Standard dropout, Eq. (2) of the paper."""

from typing import Any

import keras
from keras import ops

from keras_selectscale.layers import bernoulli, rates
from keras_selectscale.layers.feature_drop import FeatureDrop


@keras.saving.register_keras_serializable(package="keras_selectscale")
class StandardDropout(FeatureDrop):
    """Drops single units at random and scales the others up.

    This is the baseline of the paper's tables: `keras.layers.Dropout`, with its retaining rate as
    the argument.

        y = r * x / p,   r ~ Bernoulli(p) for each unit

    Args:
        retaining_rate: p in (0, 1], the share of units that is kept, or a schedule of it. Keras'
            `rate` is 1 - p. 1 is the identity.
        {shared}

    Example:

    ```python
    keras.Sequential([keras.layers.Conv2D(16, 3), StandardDropout(retaining_rate=0.9)])
    ```

    Reference:
        Srivastava et al., JMLR 2014; Eq. (2) of Chen et al., IJCAI 2020.
    """

    method_name = "dropout"
    method_title = "standard dropout"
    method_defaults = {"retaining_rate": 0.9}
    method_space = {"retaining_rate": rates.DROPOUT_RATES}
    divides_by_retaining_rate = True

    def draw_factor(self, inputs: Any, retaining_rate: Any) -> Any:
        """Draws r / p of the shape of `inputs`."""
        return bernoulli.inverted_bernoulli(
            ops.shape(inputs), retaining_rate, self.dtype_of(inputs), self.seed_generator
        )
