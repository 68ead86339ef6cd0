"""Standard dropout, Eq. (2) of the paper."""

from typing import Any

from keras import ops

from keras_selectscale.layers import factors
from keras_selectscale.layers.feature_drop import FeatureDrop
from keras_selectscale.layers.methods import DROPOUT_RATES, SearchSpace, drop_method


@drop_method(
    "dropout",
    title="standard dropout",
    defaults={"retaining_rate": 0.9},
    space=SearchSpace({"retaining_rate": DROPOUT_RATES}),
)
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

    divides_by_retaining_rate = True

    def draw_factor(self, inputs: Any, retaining_rate: Any) -> Any:
        """Draws r / p of the shape of `inputs`."""
        return factors.inverted_bernoulli(
            ops.shape(inputs), retaining_rate, self.dtype_of(inputs), self.seed_generator
        )
