"""The drop sites of a network, and the drop that each site gets."""

import inspect
import numbers
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

import keras

from keras_selectscale.argument_names import named_arguments
from keras_selectscale.checks import (
    ArgumentValueError,
    as_number,
    shown,
    type_error,
    value_error,
)
from keras_selectscale.layers.feature_maps import FeatureMaps
from keras_selectscale.models.drop_copies import copy_for_site
from keras_selectscale.object_checks import as_instance, asked


class DropSite(NamedTuple):
    """A place in a network at which a drop may be inserted.

    Attributes:
        name: Name of the site; its drop layer is called `<name>_drop`.
        group: Number of the group of blocks, from 1; 0 for the stem.
        channels: Number of feature maps.
        data_format: `"channels_last"` or `"channels_first"`; `None` keeps that of the drop.
        dtype: Name of the dtype of the feature maps; `None` keeps that of the drop.
    """

    name: str
    group: int
    channels: int
    data_format: str | None = None
    dtype: str | None = None


Drop: TypeAlias = keras.layers.Layer | Callable[[DropSite], keras.layers.Layer | None] | None


class DropSites:
    """Inserts drops into a network while it is built.

    Args:
        drop: `None` for a network without drops; a drop layer as a template, which is copied to
            every site with its own seed; or a callable that takes the `DropSite` and returns a
            layer, or `None` for a site without a drop.

    Raises:
        TypeError: If `drop` is none of these.
    """

    def __init__(self, drop: Drop):
        if drop is not None and not callable(drop) or isinstance(drop, type):
            example = "a drop layer, such as SelectScale(top_rate=0.2, retaining_rate=0.4)"
            expected = f"{example}, a callable from a DropSite to a layer or None, or None"
            raise type_error("drop", expected, drop)
        self.drop = drop
        self._is_checked = False

    def __call__(self, x: Any, name: str, group: int, channels: int) -> Any:
        """Returns the output of the site's drop, or `x` itself if the site has none."""
        layer = self.layer(DropSite(name, group, channels))
        return x if layer is None else layer(x)

    def layer(self, site: DropSite) -> keras.layers.Layer | None:
        """Returns the drop of a site, or `None`.

        Raises:
            TypeError: If a callable returns something else.
            ValueError: If a template is not a drop layer.
        """
        if self.drop is None:
            return None
        if isinstance(self.drop, keras.layers.Layer):
            if not self._is_checked:
                check_is_drop(self.drop, site)
                self._is_checked = True
            return copy_for_site(
                self.drop, site.name, data_format=site.data_format, dtype=site.dtype
            )
        layer = asked("drop", self.drop, site)
        if layer is not None and not isinstance(layer, keras.layers.Layer):
            raise TypeError(
                "Argument `drop` must return a layer or None for each site. "
                f"Received: {shown(layer)} (of type {type(layer).__name__}) for {site}"
            )
        return layer


def check_is_drop(template: keras.layers.Layer, site: DropSite) -> None:
    """Raises a `ValueError` if a template is not a drop layer.

    A drop has a `training` argument, keeps the shape of its input and has no trainable weights. A
    callable may return any layer.
    """
    # The spatial dropouts of Keras are subclasses of its Dropout.
    if isinstance(template, (FeatureMaps, keras.layers.Dropout)):
        return
    wrong = ""
    if "training" not in inspect.signature(template.call).parameters:
        wrong = "whose `call` has no `training` argument"
    else:
        probe = copy_for_site(template, site.name, data_format=site.data_format, dtype=site.dtype)
        data_format = site.data_format or keras.config.image_data_format()
        shape = (None, site.channels, 5, 7)
        if data_format == "channels_last":
            shape = (None, 5, 7, site.channels)
        try:
            probe.build(shape)
            found = tuple(probe.compute_output_shape(shape))
        except Exception:  # It is for inputs of another rank, or tells no shape.
            found = shape
        if probe.trainable_weights:
            wrong = f"which has {len(probe.trainable_weights)} trainable weights"
        elif found != shape:
            wrong = f"which returns the shape {found} for {shape}"
    if wrong:
        expected = (
            "a drop layer, which has a `training` argument, keeps the shape of its input and has "
            "no trainable weights (a callable from the site to a layer may return any layer)"
        )
        message = f"Argument `drop` must be {expected}. Received: drop={shown(template)}, {wrong}"
        raise ArgumentValueError.about("drop", message)


@named_arguments
def by_group(
    drop: keras.layers.Layer, factors: Mapping[int, float]
) -> Callable[[DropSite], keras.layers.Layer | None]:
    """Returns a `drop=` that inserts a drop into some groups, with a scaled drop rate in each.

    In a group with factor f, the retaining rate p of the template becomes

        1 - f * (1 - p)

    at every step if it is a schedule. The `rate` of a Keras layer is multiplied by f. Each site
    gets a copy of the template with the same name and seed as for `drop=template`. Groups without a
    factor get no drop.

    Args:
        drop: The drop layer as a template.
        factors: Factor of the drop rate by the number of the group; 0 is the stem. Factors are in
            [0, 1], so the template is the strongest.

    Raises:
        TypeError: If `drop` is not a layer, or `factors` does not map integers to numbers.
        ValueError: If `factors` is empty or a factor is not in [0, 1].

    Example:

    ```python
    # Retaining rate 0.6 in the third group and 0.2 in the fourth: the paper's ResNet-50.
    drop = SelectScale(top_rate=0.1, retaining_rate=0.2)
    models.ResNet50(drop=models.by_group(drop, {3: 0.5, 4: 1.0}))
    ```

    Reference:
        Section 3.5 of Chen et al., IJCAI 2020, after Ghiasi et al., NeurIPS 2018.
    """
    as_instance("drop", drop, keras.layers.Layer, "a drop layer")
    checked = _as_factors(factors)

    def drop_of(site: DropSite) -> keras.layers.Layer | None:
        if site.group not in checked:
            return None
        check_is_drop(drop, site)
        return copy_for_site(
            drop, site.name, checked[site.group], data_format=site.data_format, dtype=site.dtype
        )

    return drop_of


def _as_factors(value: Mapping[int, float]) -> dict[int, float]:
    expected = "a mapping from group numbers to factors, such as {3: 0.5, 4: 1.0}"
    as_instance("factors", value, Mapping, expected)
    if not value:
        raise value_error("factors", expected, value)
    for group in value:
        if isinstance(group, bool) or not isinstance(group, numbers.Integral) or group < 0:
            raise type_error("factors", expected, value)
    checked = {int(group): as_number(f"factors[{group}]", each) for group, each in value.items()}
    if not all(0 <= factor <= 1 for factor in checked.values()):
        raise value_error("factors", "in [0, 1]", value)
    return checked
