"""A place of a model behind which a drop may stand."""

from typing import Any, NamedTuple

from keras_selectscale.models.drop_sites import DropSite


class Site(NamedTuple):
    """One place of a model behind which a drop may stand.

    Attributes:
        path: Name of the layer behind which it is, with the names of the nested models that lead
            there: `"backbone/conv1_relu"`.
        name: Name of the site; its drop layer is called `<name>_drop`.
        group: Number of the stage of equal resolution, from 0, the largest maps.
        channels: Number of feature maps.
        shape: Shape of the feature maps with the batch axis, unknown sizes as `None`.
        data_format: `"channels_last"` or `"channels_first"`, that of the layers around it.
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
        """What the callable of `drop=` gets."""
        return DropSite(self.name, self.group, self.channels, self.data_format, self.dtype)


class Place(NamedTuple):
    """A site, or what was chosen and is none, with the node of the graph that it stands behind.

    Attributes:
        site: The site; `None` where no drop can stand there.
        node: The node.
        path: Path of its layer.
        reason: Why no drop can stand there.
    """

    site: Site | None
    node: Any
    path: str
    reason: str = ""
