"""Inserts drops into existing models."""

import numbers
from collections.abc import Mapping
from typing import Any, TypeAlias

import keras

from keras_selectscale.argument_names import named_arguments
from keras_selectscale.checks import shown
from keras_selectscale.models.drop_sites import Drop, DropSite, DropSites
from keras_selectscale.object_checks import as_boolean
from keras_selectscale.streams import say
from keras_selectscale.surgery import compilation, graph, sites
from keras_selectscale.surgery.matching import After
from keras_selectscale.surgery.rebuild import Rebuild
from keras_selectscale.surgery.sites import Depths, Groups, Place, Site
from keras_selectscale.wording import counted

# Number of matches without a site that an error lists.
SHOWN = 5
Drops: TypeAlias = Drop | Mapping[int, keras.layers.Layer | None]


@named_arguments
def insert_drops(
    model: keras.Model,
    drop: Drops,
    *,
    after: After = "conv",
    depths: Depths = None,
    groups: Groups = None,
    summary: bool = False,
    copy: bool = True,
) -> keras.Model:
    """Returns the model with drop layers at chosen sites, its weights and compilation kept.

    Use it for an existing network: of `keras.applications`, of KerasHub, or your own. In inference
    the outputs equal those of the original to the bit. The original stays as it is: the new model
    has its own layers, with the same names, weights, trainable flags, dtype policies and random
    states, and models keep their classes and attributes. The sites of nested Functional and
    Sequential models are included. A layer that is called several times has a site for each call; a
    nested model that is called several times has its sites once.

    No drop follows the predictions of the model unless `after` names the layer. A prediction is an
    output, or becomes an output without another weight and without pooling (by a softmax, a reshape
    or a resizing). A drop after an output replaces the output and, until the model is saved and
    loaded, keeps its name in losses and metrics.

    A compiled model is returned compiled in the same way, with a new optimizer of the same config.
    The result is compared with the original on one random batch before it is returned.

    Args:
        model: A built Functional or Sequential model.
        drop: A drop layer as a template, copied to every site with a matching seed, data format and
            dtype; a callable from the `DropSite` (name, group, channels, data_format, dtype) to a
            layer or `None`, such as `models.by_group(drop, factors)`; or a mapping from groups to
            templates. A template needs no registration with Keras, unless the model is saved.
        after: Layers that the drops follow. `"conv"` selects whole units of a convolution (also a
            transposed, depthwise or separable one), its normalization and its activation. The drop
            follows the last of them: the normalization if the activation comes after an addition,
            and the convolution if it contains its activation. Otherwise a layer class or several; a
            name pattern such as `"block?_relu"` or several, matched with a layer's name and with
            its path (`"backbone/conv1"`); or a callable from a layer to a bool.
        depths: A pair of shares of the depth, (0.5, 1.0) for the later half of the sites, or a
            `range` of the sites' numbers from 0, in the order of execution.
        groups: Number of a group, or several numbers. A group consists of the sites of one
            resolution; group 0 has the largest.
        summary: Whether to print the sites with their drops, and the matches of `after` that cannot
            have one. `find_drop_sites` returns the sites as a list.
        copy: Whether the new model has its own layers. With `copy=False` it shares the layers of
            `model` and their weights, so that training one trains the other. Use this if a layer
            cannot be copied. Models around a site are rebuilt either way.

    Returns:
        A model of the class of `model`. If the class saves the arguments of its constructor instead
        of its graph, a file of the new model holds a plain Functional or Sequential model.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If `model` is subclassed or not built, or a model inside is not built, or is
            subclassed and contains layers that `after` selects; if `model` has no site, or no site
            gets a drop; if a drop does not fit its site; if an argument is out of range; if a layer
            cannot be copied, or the new model differs from the original.

    Example:

    ```python
    backbone = keras.applications.ResNet50(weights=None)
    drop = SelectScale(top_rate=0.1, retaining_rate=0.2, seed=1)
    model = insert_drops(backbone, drop, after="conv", groups=(3, 4))
    ```
    """
    as_boolean("summary", summary)
    as_boolean("copy", copy)
    graph.check_rewritable(model)
    choose = _as_chooser(drop)
    found = sites.find_places(model, after)
    chosen = _taken(model, found, after, depths, groups)
    if isinstance(drop, Mapping):
        sites.check_groups(drop, [place for place in found if place.site], "drop")
    drops: dict[int, tuple[Site, keras.layers.Layer]] = {}
    for place in chosen:
        site: Any = place.site
        layer = choose.layer(site.for_drop)
        if layer is not None:
            _check_goes_with(layer, site)
            drops[id(place.node)] = (site, layer)
    if not drops:
        raise ValueError(
            "Argument `drop` must return a drop for at least one site. Received: "
            f"drop={shown(drop)}, which returns None for all of {[p.path for p in chosen]}"
        )

    def drop_behind(_: keras.Model, node: Any) -> keras.layers.Layer | None:
        return drops[id(node)][1] if id(node) in drops else None

    inserted = Rebuild(drop_behind=drop_behind, copy=copy)(model)
    compilation.copy_compilation(model, inserted)
    if summary:
        say(_table(list(drops.values()), [place for place in found if place.reason]))
    return inserted


@named_arguments
def find_drop_sites(
    model: keras.Model,
    *,
    after: After = "conv",
    depths: Depths = None,
    groups: Groups = None,
) -> list[Site]:
    """Returns the sites that `insert_drops` would use, in the order of execution.

    The arguments and the errors are those of `insert_drops`.
    """
    graph.check_rewritable(model)
    found = sites.find_places(model, after)
    return [place.site for place in _taken(model, found, after, depths, groups) if place.site]


def _as_chooser(drop: Drops) -> DropSites:
    if drop is None:
        raise TypeError(
            "Argument `drop` must be a drop layer, a callable or a mapping. Received: None"
        )
    if not isinstance(drop, Mapping):
        return DropSites(drop)
    if not drop or not all(
        isinstance(group, numbers.Integral)
        and (layer is None or isinstance(layer, keras.layers.Layer))
        for group, layer in drop.items()
    ):
        raise TypeError(
            "Argument `drop`, if it is a mapping, must map numbers of groups to drop "
            f"layers. Received: drop={shown(drop)}"
        )
    by_group = {group: DropSites(layer) for group, layer in drop.items()}

    def drop_of(site: DropSite) -> keras.layers.Layer | None:
        return by_group[site.group].layer(site) if site.group in by_group else None

    return DropSites(drop_of)


def _check_goes_with(layer: keras.layers.Layer, site: Site) -> None:
    theirs = getattr(layer, "data_format", None)
    if theirs not in (None, site.data_format):
        raise ValueError(
            f"Argument `drop` must return a layer with the data format of the site {site.path!r}, "
            f"`data_format=site.data_format`, which is {site.data_format!r}. "
            f"Received: data_format={theirs!r}"
        )


def _taken(
    model: keras.Model, found: list[Place], after: After, depths: Depths, groups: Groups
) -> list[Place]:
    if not any(place.site for place in found):
        raise ValueError(
            f"Argument `after` must select a site of the model {model.name!r}. Received: "
            f"after={shown(after)}, which selects none{_reasons(model, found)}"
        )
    chosen = sites.within(found, depths, groups)
    if not chosen:
        raise ValueError(
            "Arguments `depths` and `groups` must leave a site. Received: "
            f"depths={shown(depths)}, groups={shown(groups)}, which leave none of "
            f"{counted(sum(place.site is not None for place in found), 'site')}"
        )
    return chosen


def _reasons(model: keras.Model, found: list[Place]) -> str:
    """Returns why there is no site, as the end of a sentence."""
    if not found:
        kinds = sorted({type(op).__name__ for op in graph.functional(model).operations})
        names = [layer.name for layer in model.layers]
        return f" of its layers, which are {shown(names)} of the classes {shown(kinds)}"
    reasons = [f"not after {place.path}: {place.reason}" for place in found[:SHOWN]]
    if len(found) > SHOWN:
        reasons.append(f"and {len(found) - SHOWN} more")
    return f" ({'; '.join(reasons)})"


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
    lines.append(counted(len(taken), "drop"))
    lines += [f"none after {place.path}: {place.reason}" for place in skipped]
    return "\n".join(lines)
