"""One drop for some groups of a network, stronger in one than in another."""

import numbers
from collections.abc import Callable, Mapping

import keras

from keras_selectscale.layers import rates
from keras_selectscale.models.drop_copies import copy_for_site
from keras_selectscale.models.drop_sites import DropSite


def by_group(
    drop: keras.layers.Layer, factors: Mapping[int, float]
) -> Callable[[DropSite], keras.layers.Layer | None]:
    """Returns a `drop=` that puts a drop into some groups, its drop rate scaled in each.

    The retaining rate p of the template becomes, in a group of factor f,

        1 - f * (1 - p)

    at every step where it is a schedule; the `rate` of a layer of Keras becomes f times itself.
    Each site gets a copy of the template, named and seeded as where the template itself is given
    as `drop=`. Groups that are not named get none.

    Args:
        drop: The drop layer as a template.
        factors: Factor of the drop rate by the number of the group; 0 is the stem. Factors are in
            [0, 1]: the template is the strongest.

    Raises:
        TypeError: Where `drop` is no layer, or `factors` no mapping from integers to numbers.
        ValueError: Where `factors` is empty, or one of them not in [0, 1].

    Example:

    ```python
    # Retaining rate 0.6 in the third group, 0.2 in the fourth: the paper's ResNet-50.
    drop = SelectScale(top_rate=0.1, retaining_rate=0.2)
    models.ResNet50(drop=models.by_group(drop, {3: 0.5, 4: 1.0}))
    ```

    Reference:
        Section 3.5 of Chen et al., IJCAI 2020, after Ghiasi et al., NeurIPS 2018.
    """
    if not isinstance(drop, keras.layers.Layer):
        raise TypeError(
            "Argument `drop` must be a drop layer. "
            f"Received: drop={drop!r} (of type {type(drop).__name__})"
        )
    factors = _as_factors(factors)

    def drop_of(site: DropSite) -> keras.layers.Layer | None:
        if site.group not in factors:
            return None
        return copy_for_site(
            drop,
            site.name,
            factors[site.group],
            data_format=site.data_format,
            dtype=site.dtype,
        )

    return drop_of


def _as_factors(value: Mapping[int, float]) -> dict[int, float]:
    if not isinstance(value, Mapping) or not all(_is_group(group) for group in value):
        raise TypeError(
            "Argument `factors` must map numbers of groups, which are integers from 0, to factors, "
            f"such as {{3: 0.5, 4: 1.0}}. Received: factors={value!r}"
        )
    if not value:
        raise ValueError(f"Argument `factors` must name a group. Received: factors={value!r}")
    factors = {
        int(group): rates.as_rate(f"factors[{group}]", factor) for group, factor in value.items()
    }
    if not all(0 <= factor <= 1 for factor in factors.values()):
        raise ValueError(f"Argument `factors` must be in [0, 1]. Received: factors={value!r}")
    return factors


def _is_group(value: object) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool) and int(value) >= 0
