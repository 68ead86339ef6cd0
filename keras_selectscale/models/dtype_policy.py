"""Sets the dtype policy of layers that are created without one."""

import contextlib
from collections.abc import Iterator
from typing import Any

import keras


@contextlib.contextmanager
def dtype_policy(policy: Any) -> Iterator[None]:
    """Applies a policy to layers that are created within the context.

    Args:
        policy: A `keras.DTypePolicy`, or its name.
    """
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
