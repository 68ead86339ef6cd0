"""The values of variables of which each replica of `tf.distribute` has its own."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops


def values(variables: Sequence[Any]) -> list[list[float]]:
    """Returns the value of each scalar or flattened variable, a number for each element.

    A metric under `tf.distribute` sums on each replica by itself; their sum alone would not bring
    back the same roundings.
    """
    return [
        np.concatenate([np.ravel(ops.convert_to_numpy(part)) for part in _parts(variable)])
        .astype("float64")
        .tolist()
        for variable in variables
    ]


def assign(variables: Sequence[Any], given: Sequence[Sequence[float]]) -> None:
    """Gives variables the values that `values` returned.

    Where they come from another number of replicas, the first replica has the sum of all: that is
    what they stand for.
    """
    for variable, numbers in zip(variables, given, strict=True):
        parts = _parts(variable)
        shape = tuple(parts[0].shape)
        shares = np.reshape(np.asarray(numbers), (-1, *shape))
        if len(shares) != len(parts):
            shares = np.stack([shares.sum(0), *[np.zeros(shape)] * (len(parts) - 1)])
        for part, share in zip(parts, shares, strict=True):
            part.assign(share.astype(variable.dtype))


def _parts(variable: Any) -> Sequence[Any]:
    """Returns the variable of each replica, or the one that there is."""
    parts = getattr(variable.value, "values", None)
    # A tensor of PyTorch has a method of that name.
    return parts if isinstance(parts, tuple) else [variable]
