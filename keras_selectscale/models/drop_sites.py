"""Where a network has its drops, and which drop stands at each place."""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import keras

from keras_selectscale.models.drop_copies import copy_for_site


class DropSite(NamedTuple):
    """One place of a network at which a drop may stand.

    Attributes:
        name: Name of the site; its drop layer is called `<name>_drop`.
        group: Number of the group of blocks, from 1; 0 for the stem.
        channels: Number of feature maps.
    """

    name: str
    group: int
    channels: int


Drop: TypeAlias = keras.layers.Layer | Callable[[DropSite], keras.layers.Layer | None] | None


class DropSites:
    """Puts drops into a network while it is built.

    Args:
        drop: `None` for a network without drops; a drop layer as a template, copied to every site
            with a seed of its own; or a callable from the `DropSite` to a layer, or to `None` for
            a site without one.

    Raises:
        TypeError: Where `drop` is none of these.
    """

    def __init__(self, drop: Drop):
        if drop is not None and not callable(drop) or isinstance(drop, type):
            raise TypeError(
                "Argument `drop` must be a drop layer, a callable from a DropSite to a layer or "
                f"None, or None. Received: drop={drop!r} (of type {type(drop).__name__})"
            )
        self.drop = drop

    def __call__(self, x: Any, name: str, group: int, channels: int) -> Any:
        """Returns `x` behind the drop of the site, or `x` itself where there is none."""
        layer = self._layer(DropSite(name, group, channels))
        return x if layer is None else layer(x)

    def _layer(self, site: DropSite) -> keras.layers.Layer | None:
        if self.drop is None:
            return None
        if isinstance(self.drop, keras.layers.Layer):
            return copy_for_site(self.drop, site.name)
        layer = self.drop(site)
        if layer is not None and not isinstance(layer, keras.layers.Layer):
            raise TypeError(
                f"Argument `drop` must give a layer or None for each site. Received: {layer!r} "
                f"(of type {type(layer).__name__}) for {site}"
            )
        return layer
