"""The count of training steps of a scheduled rate, among the weights of a layer.

To train with a schedule and evaluate with a constant rate is common, so that the count may be
missing from the values that a layer loads, or left over.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np


def fitted(values: Sequence[Any], variables: Sequence[Any], count: Any) -> list[Any]:
    """Returns values for the variables of a layer, whether or not a count is among them.

    Args:
        values: What is to be loaded, in the order of the variables.
        variables: The variables of the layer.
        count: The one of them that counts, which keeps its value if none is given. `None` if the
            layer does not count, and a count is ignored.

    Returns:
        One value for each variable. If more than a count is missing or left over, `values`.
    """
    counts = [place for place, value in enumerate(values) if _is_count(value)]
    if count is None and len(values) == len(variables) + 1 and len(counts) == 1:
        return [value for place, value in enumerate(values) if place != counts[0]]
    if count is not None and len(values) == len(variables) - 1 and not counts:
        place = next(i for i, variable in enumerate(variables) if variable is count)
        return [*values[:place], count.numpy(), *values[place:]]
    return list(values)


def _is_count(value: Any) -> bool:
    return value.shape == () and np.issubdtype(value.dtype, np.integer)
