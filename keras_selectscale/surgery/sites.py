"""The sites of a model that `after=`, `depths=` and `groups=` select."""

import math
import numbers
from collections.abc import Callable, Collection, Iterable
from typing import Any, NamedTuple, TypeAlias

import keras

from keras_selectscale.checks import shown
from keras_selectscale.layers import feature_maps
from keras_selectscale.models.drop_sites import DropSite
from keras_selectscale.surgery import drop_kinds, graph, matching
from keras_selectscale.surgery.graph import Call
from keras_selectscale.surgery.matching import After
from keras_selectscale.wording import counted

Depths: TypeAlias = tuple[float, float] | range | None
Groups: TypeAlias = int | Collection[int] | None


class Site(NamedTuple):
    """A place in a model that a drop may follow.

    Attributes:
        path: Name of the layer that the drop follows, after the names of the nested models around
            it: `"backbone/conv1_relu"`.
        name: Name of the site; its drop layer is named `<name>_drop`.
        group: Number of the stage of equal resolution; 0 has the largest maps.
        channels: Number of feature maps.
        shape: Shape of the feature maps with the batch axis, unknown sizes as `None`.
        data_format: `"channels_last"` or `"channels_first"`, as in the layers around it.
        dtype: Name of the dtype of the feature maps.
    """

    path: str
    name: str
    group: int
    channels: int
    shape: tuple[int | None, ...]
    data_format: str
    dtype: str

    @property
    def for_drop(self) -> DropSite:
        """The site in the form that a callable `drop=` receives."""
        return DropSite(self.name, self.group, self.channels, self.data_format, self.dtype)


class Place(NamedTuple):
    """A match of `after=`: a site, or the reason why no drop can stand there.

    Attributes:
        site: The site; `None` if no drop can stand there.
        node: The node of the graph that a drop would follow.
        path: Path of the layer.
        reason: Why no drop can stand there.
    """

    site: Site | None
    node: Any
    path: str
    reason: str = ""


def find_places(model: keras.Model, after: After) -> list[Place]:
    """Returns every match of `after` in the order of execution, including those that are no sites.

    Raises:
        TypeError: If `after` is of the wrong type.
        ValueError: If a subclassed model inside has layers that `after` selects.
    """
    selection = matching.Selection(after)
    found = [call for call in graph.calls(model) if selection.call(call)]
    shapes = graph.known_shapes(model) if found else {}
    predictions = matching.predictions(model, shapes) if found else set()
    sizes = {id(call.node): _resolution(call, shapes) for call in found}
    reasons = {
        id(call.node): _why_not(call, set() if selection.names(call) else predictions)
        for call in found
    }
    present = {sizes[key] for key, reason in reasons.items() if not reason}
    groups = sorted(present, key=lambda size: (-math.prod(size), size))
    names: set[str] = set()
    places = []
    for call in found:
        site, reason = None, reasons[id(call.node)]
        if not reason:
            site = _site(call, groups.index(sizes[id(call.node)]), names)
        places.append(Place(site, call.node, call.path, reason))
    return places + _out_of_reach(model, selection)


def _out_of_reach(model: keras.Model, selection: matching.Selection) -> list[Place]:
    """Returns the layers that `after` would select if they were not part of another layer."""
    places = []
    for call in graph.calls(model):
        owner = call.node.operation
        if call.number > 1 or graph.is_model(owner) or not isinstance(owner, keras.Layer):
            continue
        for layer in drop_kinds.all_layers(owner):
            path = f"{call.path}/{layer.name}"
            if layer is owner or not selection.layer(layer, path):
                continue
            if isinstance(owner, keras.Model):
                raise ValueError(
                    f"The model {call.path!r} inside of `model` is a subclassed model, whose "
                    "`call` is code that cannot be rewritten, and it has layers that `after` "
                    "selects: put the drop layers into its `call`, or build it as a Functional "
                    f"model (keras.Model(inputs, outputs)). Received: {type(owner).__name__} with "
                    f"the layer {layer.name!r}"
                )
            reason = f"it is inside of {call.path} (of type {type(owner).__name__})"
            places.append(Place(None, call.node, path, reason))
    return places


def within(places: list[Place], depths: Depths, groups: Groups) -> list[Place]:
    """Returns the sites among `places` in a range of depths and in some groups."""
    sites = [place for place in places if place.site is not None]
    in_depths = _in_depths(depths, len(sites))
    wanted = _as_groups(groups)
    if wanted is not None:
        check_groups(wanted, sites, "groups")
    return [
        place
        for number, place in enumerate(sites)
        if in_depths(number) and (wanted is None or place.site and place.site.group in wanted)
    ]


def check_groups(groups: Iterable[int], sites: list[Place], argument: str) -> None:
    """Raises an error if `groups` names a group without sites."""
    there = sorted({place.site.group for place in sites if place.site is not None})
    missing = sorted(set(groups) - set(there))
    if missing:
        raise ValueError(
            f"Argument `{argument}` must name groups of the model, which are {there}. "
            f"Received: {shown(missing)}"
        )


def _why_not(call: Call, predictions: set[int]) -> str:
    """Returns why no drop can follow a call, or an empty string."""
    if drop_kinds.is_drop(call.node.operation):
        return "it is a drop itself"
    if len(call.node.outputs) != 1:
        return f"it has {counted(len(call.node.outputs), 'output')}"
    output = call.node.outputs[0]
    if not keras.backend.is_float_dtype(output.dtype):
        return f"its output is of dtype {output.dtype}"
    try:
        feature_maps.check_feature_maps(output.shape, call.data_format, "A drop")
    except ValueError:
        return f"its output of shape {tuple(output.shape)} is not a batch of feature maps"
    if id(output) in predictions:
        return "its output is what the model predicts; name the layer to have a drop there"
    return ""


def _resolution(call: Call, shapes: dict[int, tuple[int | None, ...]]) -> tuple[int, ...]:
    output = call.node.outputs[0]
    shape = shapes.get(id(output), tuple(output.shape))
    rank = len(shape)
    if rank < feature_maps.MIN_RANK:
        return ()
    axis = feature_maps.channel_axis(call.data_format, rank)
    return tuple(shape[i] or 0 for i in feature_maps.spatial_axes(axis, rank))


def _site(call: Call, group: int, names: set[str]) -> Site:
    output = call.node.outputs[0]
    name = call.path.replace("/", "_")
    if call.number > 1:
        name = f"{name}_call{call.number}"
    there = {operation.name for operation in graph.functional(call.model).operations}
    free, number = name, 1
    while free in names or f"{free}_drop" in there:
        number += 1
        free = f"{name}_{number}"
    names.add(free)
    shape = tuple(output.shape)
    axis = feature_maps.channel_axis(call.data_format, len(shape))
    dtype = keras.backend.standardize_dtype(output.dtype)
    return Site(call.path, free, group, shape[axis], shape, call.data_format, dtype)


def _in_depths(depths: Depths, count: int) -> Callable[[int], bool]:
    if depths is None:
        return lambda number: True
    if isinstance(depths, range):
        return lambda number: number in depths
    pair = depths if isinstance(depths, (tuple, list)) else ()
    numbers = all(isinstance(x, (int, float)) and not isinstance(x, bool) for x in pair)
    if len(pair) != 2 or not numbers or not 0 <= pair[0] < pair[1] <= 1:
        raise ValueError(
            "Argument `depths` must be a pair of shares of the depth, 0 <= from < to <= 1, such as "
            "(0.5, 1.0), or a range of the sites' numbers, such as range(4, 9). "
            f"Received: depths={shown(depths)}"
        )
    return lambda number: pair[0] <= (number + 0.5) / count <= pair[1]


def _as_groups(groups: Groups) -> set[int] | None:
    if groups is None:
        return None
    items: Any = [groups] if isinstance(groups, numbers.Integral) else groups
    valid = isinstance(items, Collection) and len(items) > 0 and not isinstance(groups, bool)
    if not valid or not all(isinstance(item, numbers.Integral) for item in items):
        raise TypeError(
            "Argument `groups` must be the number of a group or several. "
            f"Received: groups={shown(groups)} (of type {type(groups).__name__})"
        )
    return set(items)
