"""The highest of each row by comparing all pairs, for accelerators.

XLA makes one kernel of the comparisons and their sum. A loop would ask the host, or the other
devices, at each turn whether to go on.
"""

from typing import Any

from keras import ops

# From here on the square of the channels outweighs a sort.
MOST_CHANNELS = 4096


def top_k_mask(keys: Any, count: Any) -> Any:
    """Returns a boolean mask of exactly the `count` highest keys of each row.

    Args:
        keys: Integer tensor of shape (batch, channels). Of equal keys the lower index wins.
        count: How many, an int or a scalar int32 tensor.

    Returns:
        A boolean tensor of the same shape.
    """
    index = ops.arange(ops.shape(keys)[1], dtype="int32")
    mine, other = ops.expand_dims(keys, 2), ops.expand_dims(keys, 1)
    earlier = ops.expand_dims(index, 0) < ops.expand_dims(index, 1)
    beaten = ops.logical_or(other > mine, ops.logical_and(other == mine, earlier))
    return ops.sum(ops.cast(beaten, "int32"), axis=2) < count
