"""A drop layer out of a search space."""

from collections.abc import Sequence
from typing import Any

from keras_selectscale.layers.feature_drop import FeatureDrop
from keras_selectscale.layers.methods import make_drop
from keras_selectscale.tuning.rate_space import DEFAULT_METHODS, RateSpace


def drop_space(
    hp: Any,
    methods: Sequence[str] = DEFAULT_METHODS,
    *,
    top_rates: Sequence[float] | None = None,
    retaining_rates: Sequence[float] | None = None,
    **kwargs: Any,
) -> FeatureDrop | None:
    """Returns a drop layer drawn from a search space: its method and its rates.

    To be called in the `build` of a `keras_tuner.HyperModel` of one's own. It asks `hp` for

    - `drop`: the method;
    - `<method>/top_rate` and `<method>/retaining_rate`, as far as the method has them;
    - `selectout/share` in place of `selectout/retaining_rate`: see `RateSpace`.

    These names stay as they are, so that a search goes on with a later version. The
    hyperparameters of a method are active only while it is drawn. Called twice, it returns the same
    drop twice; another one comes out of `with hp.name_scope("late"):`.

    Args:
        hp: The `keras_tuner.HyperParameters` that `build` is given.
        methods: Names of drop methods: `"selectscale"`, `"selectout"`, `"spatial-scale"`,
            `"spatial-dropout"`, `"dropout"` or `"none"`.
        top_rates: Values in (0, 1] to draw from; `None` for 0.1, 0.2, … 1.
        retaining_rates: Values in [0, 1] to draw from, for Selectout the lowest and the highest;
            `None` for 0, 0.1, … 0.9 (SelectScale and SpatialScale), 0.5, 0.6, … 0.9 (standard and
            SpatialDropout), from 0.5 to below 1 (Selectout).
        **kwargs: Further arguments of the layer, such as `seed` or `name`.

    Returns:
        A new drop layer, or `None` where `"none"` is drawn.

    Raises:
        TypeError: Where a rate is no number.
        ValueError: Where a method is unknown, a rate is out of its range, or nothing that a method
            could draw is feasible.

    Example:

    ```python
    class Small(keras_tuner.HyperModel):
        def build(self, hp):
            drop = tuning.drop_space(hp, methods=("selectscale", "none"))
            inputs = keras.Input((8, 8, 1))
            x = keras.layers.Conv2D(16, 3, activation="relu")(inputs)
            x = x if drop is None else drop(x)
            x = keras.layers.GlobalAveragePooling2D()(x)
            model = keras.Model(inputs, keras.layers.Dense(10, activation="softmax")(x))
            model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
            return model
    ```
    """
    rates = RateSpace(methods, top_rates, retaining_rates).draw(hp)
    return make_drop(**rates, **({} if rates["drop"] == "none" else kwargs))
