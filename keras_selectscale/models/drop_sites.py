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
        data_format: `"channels_last"` or `"channels_first"`; `None` where the drop's own holds.
        dtype: Name of the dtype of the feature maps; `None` where the drop's own holds.
    """

    name: str
    group: int
    channels: int
    data_format: str | None = None
    dtype: str | None = None


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
        layer = self.layer(DropSite(name, group, channels))
        return x if layer is None else layer(x)

    def layer(self, site: DropSite) -> keras.layers.Layer | None:
        """Returns the drop of a site, or `None`.

        Raises:
            TypeError: Where a callable gives something else.
        """
        if self.drop is None:
            return None
        if isinstance(self.drop, keras.layers.Layer):
            return copy_for_site(
                self.drop, site.name, data_format=site.data_format, dtype=site.dtype
            )
        layer = self.drop(site)
        if layer is not None and not isinstance(layer, keras.layers.Layer):
            raise TypeError(
                f"Argument `drop` must give a layer or None for each site. Received: {layer!r} "
                f"(of type {type(layer).__name__}) for {site}"
            )
        return layer
