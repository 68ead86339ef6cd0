"""Drops into models that exist already."""

import inspect
import numbers
from collections.abc import Mapping
from typing import Any, TypeAlias

import keras

from keras_selectscale.models.drop_sites import Drop, DropSite, DropSites
from keras_selectscale.streams import say
from keras_selectscale.surgery import compilation, graph, places
from keras_selectscale.surgery.places import Depths, Groups
from keras_selectscale.surgery.rebuild import Rebuild
from keras_selectscale.surgery.selection import After
from keras_selectscale.surgery.site import Place, Site

Drops: TypeAlias = Drop | Mapping[int, keras.layers.Layer | None]


def insert_drops(
    model: keras.Model,
    drop: Drops,
    *,
    after: After = "conv",
    depths: Depths = None,
    groups: Groups = None,
    summary: bool = False,
) -> keras.Model:
    """Returns the model with drop layers at chosen sites, its weights and compilation kept.

    For a network that one has already: of `keras.applications`, of KerasHub, or one's own. At
    inference its outputs equal the original's to the bit. The original stays as it is: the new
    model has layers of its own, of the same names, weights, trainable flags, dtype policies and
    random states. Nested Functional and Sequential models are gone through. Behind a layer that is
    called several times there is a site for each call; a nested model that is called several times
    has its sites once.

    A compiled model comes back compiled alike, with a new optimizer of the same config. A drop
    behind an output of the model takes the output's place and, until the model is saved and loaded,
    its name in losses and metrics.

    Args:
        model: A built Functional or Sequential model.
        drop: A drop layer as a template, copied to every site with a seed, a data format and a
            dtype that go with it; a callable from the `DropSite` (name, group, channels,
            data_format, dtype) to a layer or `None`, such as `models.by_group(drop, factors)`; or a
            mapping from groups to templates.
        after: Behind what the sites are. `"conv"` takes whole units of a convolution (transposed,
            depthwise and separable ones too), its normalisation and its activation: the site is
            behind the last of them, which is the normalisation where the activation comes only
            after an addition, and the convolution where that holds its activation. Else a layer
            class or several; a name pattern such as `"block?_relu"` or several, matched with a
            layer's name and with its path (`"backbone/conv1"`); or a callable from a layer to a
            bool.
        depths: A pair of shares of the depth, (0.5, 1.0) for the later half of the sites, or a
            `range` of the sites' numbers from 0, in the order of execution.
        groups: Number of a group or several. A group is the sites of one resolution; 0 is the
            largest one.
        summary: Whether to print the sites with their drops, and what `after` took that can have
            none. `find_drop_sites` gives them as a list.

    Returns:
        A model of its own, of the class of `model` where that is made as Keras' is, else a plain
        one.

    Raises:
        TypeError: Where an argument is of the wrong type.
        ValueError: Where `model` is a subclassed model or not built, or one inside is not built, or
            a subclassed one that holds what `after` takes; where there is no site, or no drop at
            any; where a drop does not go with its site; where an argument is out of its range.

    Example:

    ```python
    backbone = keras.applications.ResNet50(weights=None)
    drop = SelectScale(top_rate=0.1, retaining_rate=0.2, seed=1)
    model = insert_drops(backbone, drop, after="conv", groups=(3, 4))
    ```
    """
    graph.check_rewritable(model)
    choose = _as_chooser(drop)
    found = places.find_places(model, after)
    chosen = _taken(model, found, after, depths, groups)
    if isinstance(drop, Mapping):
        places.check_groups(drop, [place for place in found if place.site], "drop")
    drops: dict[int, tuple[Site, keras.layers.Layer]] = {}
    for place in chosen:
        site: Any = place.site
        layer = choose.layer(site.for_drop)
        if layer is not None:
            _check_goes_with(layer, site)
            drops[id(place.node)] = (site, layer)
    if not drops:
        raise ValueError(
            "Argument `drop` must give a drop for a site at least. Received: "
            f"drop={drop!r}, which gives None for all of {[p.path for p in chosen]}"
        )
    inserted = Rebuild(
        drop_behind=lambda model, node: drops[id(node)][1] if id(node) in drops else None
    )(model)
    compilation.copy_compilation(model, inserted)
    if summary:
        say(_table(list(drops.values()), [place for place in found if place.reason]))
    return inserted


def find_drop_sites(
    model: keras.Model,
    *,
    after: After = "conv",
    depths: Depths = None,
    groups: Groups = None,
) -> list[Site]:
    """Returns the sites that `insert_drops` would take, in the order of execution.

    The arguments are those of `insert_drops`, and so is what it raises.
    """
    graph.check_rewritable(model)
    found = places.find_places(model, after)
    return [place.site for place in _taken(model, found, after, depths, groups) if place.site]


def _as_chooser(drop: Drops) -> DropSites:
    if drop is None:
        raise TypeError(
            "Argument `drop` must be a drop layer, a callable or a mapping. Received: None"
        )
    layers = [drop]
    if isinstance(drop, Mapping):
        layers = list(drop.values())
        if not drop or not all(
            isinstance(group, numbers.Integral)
            and (layer is None or isinstance(layer, keras.layers.Layer))
            for group, layer in drop.items()
        ):
            raise TypeError(
                "Argument `drop`, where it is a mapping, must go from numbers of groups to drop "
                f"layers. Received: drop={drop!r}"
            )
    for layer in layers:
        if isinstance(layer, keras.layers.Layer):
            _check_is_drop(layer)
    if not isinstance(drop, Mapping):
        return DropSites(drop)
    by_group = {group: DropSites(layer) for group, layer in drop.items()}

    def drop_of(site: DropSite) -> keras.layers.Layer | None:
        return by_group[site.group].layer(site) if site.group in by_group else None

    return DropSites(drop_of)


def _check_is_drop(layer: keras.layers.Layer) -> None:
    if "training" not in inspect.signature(layer.call).parameters:
        raise ValueError(
            "Argument `drop` must be a drop layer, whose `call` has a `training` argument. "
            f"Received: {layer!r}"
        )


def _check_goes_with(layer: keras.layers.Layer, site: Site) -> None:
    _check_is_drop(layer)
    theirs = getattr(layer, "data_format", None)
    if theirs not in (None, site.data_format):
        raise ValueError(
            f"Argument `drop` must give a layer with the data format of the site {site.path!r}, "
            f"`data_format=site.data_format`, which is {site.data_format!r}. "
            f"Received: data_format={theirs!r}"
        )


def _taken(
    model: keras.Model, found: list[Place], after: After, depths: Depths, groups: Groups
) -> list[Place]:
    if not any(place.site for place in found):
        skipped = "; ".join(f"not behind {p.path}: {p.reason}" for p in found)
        kinds = sorted({type(op).__name__ for op in graph.functional(model).operations})
        raise ValueError(
            f"Argument `after` must take a site of the model {model.name!r}. Received: "
            f"after={after!r}, which takes none"
            + (f" ({skipped})" if skipped else f" of its layers, which are {kinds}")
        )
    chosen = places.within(found, depths, groups)
    if not chosen:
        raise ValueError(
            "Arguments `depths` and `groups` must leave a site. Received: "
            f"depths={depths!r}, groups={groups!r}, which leave none of "
            f"{sum(place.site is not None for place in found)} sites"
        )
    return chosen


def _table(taken: list[tuple[Site, keras.layers.Layer]], skipped: list[Place]) -> str:
    rows = [("site", "group", "shape", "drop")]
    rows += [
        (site.path, str(site.group), str(site.shape), f"{layer.name} ({type(layer).__name__})")
        for site, layer in taken
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    lines.append(f"{len(taken)} drops")
    lines += [f"none behind {place.path}: {place.reason}" for place in skipped]
    return "\n".join(lines)
