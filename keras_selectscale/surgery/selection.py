"""What `after=` takes."""

import fnmatch
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeAlias

import keras

from keras_selectscale.surgery import conv_units
from keras_selectscale.surgery.calls import Call

After: TypeAlias = str | type | Callable[[keras.layers.Layer], bool] | Collection[str | type]


class Selection:
    """The calls, and the layers, that a user's `after=` takes.

    Args:
        after: `"conv"`, a layer class, a name pattern, several of these two, or a callable from a
            layer to a bool.

    Raises:
        TypeError: Where it is none of these.
    """

    def __init__(self, after: After):
        self.units = isinstance(after, str) and after == "conv"
        self.asks: Any = after if callable(after) and not isinstance(after, type) else None
        items: Any = [after] if isinstance(after, (str, type)) else after
        if self.asks is not None:
            items = []
        elif (
            not isinstance(items, Collection)
            or isinstance(items, (Mapping, bytes))
            or not items
            or not all(isinstance(item, (str, type)) for item in items)
        ):
            raise TypeError(
                'Argument `after` must be "conv", a layer class or several, a name pattern such as '
                '"block*_relu" or several, or a callable from a layer to a bool. '
                f"Received: after={after!r} (of type {type(after).__name__})"
            )
        self.kinds = tuple(item for item in items if isinstance(item, type))
        self.patterns = [item for item in items if isinstance(item, str)]
        self._unit_ends: dict[int, set[int]] = {}

    def call(self, call: Call) -> bool:
        """Returns whether a drop is wanted behind a call."""
        if not self.units:
            return self.layer(call.node.operation, call.path)
        if id(call.model) not in self._unit_ends:
            self._unit_ends[id(call.model)] = conv_units.unit_ends(call.model)
        return id(call.node) in self._unit_ends[id(call.model)]

    def layer(self, operation: Any, path: str) -> bool:
        """Returns whether a layer, or another operation of a graph, is taken by itself."""
        if self.units:
            return isinstance(operation, conv_units.CONVOLUTIONS)
        if self.asks is not None:
            return isinstance(operation, keras.Layer) and bool(self.asks(operation))
        return isinstance(operation, self.kinds) or any(
            fnmatch.fnmatchcase(name, pattern)
            for pattern in self.patterns
            for name in (operation.name, path)
        )
