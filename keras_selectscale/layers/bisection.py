"""The highest of each row by bisection, for compilers.

XLA on a CPU sorts slowly, for every row by itself and on one thread. Counting how many keys reach a
threshold is a product with a vector; halving the range of the threshold between two counts finds
the k-th key in some 15 counts, whatever k is, and in 31 at most.
"""

from typing import Any

from keras import ops


def top_k_mask(keys: Any, count: Any) -> Any:
    """Returns a boolean mask of exactly the `count` highest keys of each row.

    Args:
        keys: int32 tensor of shape (batch, channels), none the highest int32. Of equal keys the
            lower index wins.
        count: How many, an int or a scalar int32 tensor.

    Returns:
        A boolean tensor of the same shape.
    """
    channels = ops.shape(keys)[1]
    count = ops.minimum(ops.cast(count, "int32"), channels)
    # In each row `low` is reached by `reached` keys, at least `count`, and `high` by fewer.
    low = ops.min(keys, axis=1, keepdims=True)
    high = ops.max(keys, axis=1, keepdims=True) + 1
    reached = ops.full_like(low, channels)

    def goes_on(low: Any, high: Any, reached: Any) -> Any:
        return ops.any(ops.logical_and(reached != count, low + 1 < high))

    def halve(low: Any, high: Any, reached: Any) -> tuple[Any, Any, Any]:
        # Half of the sum, which may not fit.
        middle = ops.right_shift(low, 1) + ops.right_shift(high, 1)
        middle = middle + ops.bitwise_and(ops.bitwise_and(low, high), 1)
        found = row_count(keys >= middle)
        enough = found >= count
        return (
            ops.where(enough, middle, low),
            ops.where(enough, high, middle),
            ops.where(enough, found, reached),
        )

    low, _, reached = ops.while_loop(goes_on, halve, (low, high, reached))
    mask = keys >= low
    excess = reached - count
    return ops.cond(
        ops.any(excess > 0),
        lambda: without_last_equals(keys, low, excess),
        lambda: mask,
    )


def without_last_equals(keys: Any, threshold: Any, excess: Any) -> Any:
    """Returns the mask of the keys that reach the threshold but for the last equal to it.

    Args:
        keys: int32 tensor of shape (batch, channels).
        threshold: int32 tensor of shape (batch, 1).
        excess: int32 tensor of shape (batch, 1), how many of the equal ones are left out.

    Returns:
        A boolean tensor of shape (batch, channels).
    """
    channels = ops.shape(keys)[1]
    index = ops.expand_dims(ops.arange(channels, dtype="int32"), 0)
    equal = keys == threshold
    kept = row_count(equal) - excess

    # The most leading channels that hold no more than `kept` of them: `low` do, `high` do not.
    def halve(low: Any, high: Any) -> tuple[Any, Any]:
        middle = ops.right_shift(low + high, 1)
        fits = row_count(ops.logical_and(equal, index < middle)) <= kept
        return ops.where(fits, middle, low), ops.where(fits, high, middle)

    low = ops.zeros_like(kept)
    leading, _ = ops.while_loop(
        lambda low, high: ops.any(low + 1 < high), halve, (low, ops.full_like(low, channels + 1))
    )
    return ops.logical_or(keys > threshold, ops.logical_and(equal, index < leading))


def row_count(mask: Any) -> Any:
    """Returns how many are true in each row, int32 of shape (batch, 1)."""
    # A product runs on all cores and in vectors, where XLA's sum over a row does not. Exact:
    # float32 holds every integer up to 2**24.
    ones = ops.ones((ops.shape(mask)[1], 1), dtype="float32")
    return ops.cast(ops.matmul(ops.cast(mask, "float32"), ones), "int32")
