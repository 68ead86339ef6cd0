"""Models that compute in float32."""

import keras

from keras_selectscale.surgery import graph
from keras_selectscale.surgery.rebuild import Rebuild


def in_float32(model: keras.Model) -> keras.Model:
    """Returns a copy of a model, of whatever dtype policy, that computes in float32.

    Under a mixed policy the weights are of float32 already and stay what they are; what is computed
    with them is no longer rounded to half the width.

    Args:
        model: A built Functional or Sequential model; it stays as it is.

    Returns:
        A model of its own, not compiled.

    Raises:
        TypeError: Where `model` is no model.
        ValueError: Where it, or one inside, is a subclassed model or not built.
    """
    graph.check_rewritable(model)
    return Rebuild(dtype="float32")(model)
