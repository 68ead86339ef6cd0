"""The drop methods by the names of the command line, in the order of the paper's tables."""

from typing import Any, NamedTuple

from keras_selectscale.layers.feature_drop import FeatureDrop
from keras_selectscale.layers.select_scale import SelectScale
from keras_selectscale.layers.selectout import Selectout
from keras_selectscale.layers.spatial_dropout import SpatialDropout
from keras_selectscale.layers.spatial_scale import SpatialScale
from keras_selectscale.layers.standard_dropout import StandardDropout


class Method(NamedTuple):
    """A drop method: its title in tables, its layer, and the rates of the paper's first table."""

    title: str
    layer: type[FeatureDrop] | None
    retaining_rate: float | None = None
    top_rate: float | None = None


METHODS: dict[str, Method] = {
    "none": Method("without data drop", None),
    "dropout": Method("standard dropout", StandardDropout, 0.9),
    "spatial-dropout": Method("SpatialDropout", SpatialDropout, 0.9),
    "spatial-scale": Method("SpatialScale", SpatialScale, 0.4),
    # The paper tables no Selectout: Section 2.1's example.
    "selectout": Method("Selectout", Selectout, 0.9, 0.2),
    # Top rate as for WRN-20-4 and WRN-20-8, retaining rate as for ResNet-110.
    "selectscale": Method("SelectScale", SelectScale, 0.4, 0.2),
}


def get_method(name: str) -> Method:
    """Returns the method called `name`, or raises a `ValueError` that lists the names."""
    if name not in METHODS:
        raise ValueError(f"Argument `drop` must be one of {list(METHODS)}. Received: drop={name!r}")
    return METHODS[name]


def make_drop(
    drop: str,
    *,
    top_rate: float | None = None,
    retaining_rate: Any = None,
    score: Any = None,
    **kwargs: Any,
) -> FeatureDrop | None:
    """Returns the drop layer of a method, or `None` for `"none"`.

    Args:
        drop: One of `METHODS`.
        top_rate: As the layer takes it; `None` for the method's own default.
        retaining_rate: As the layer takes it; `None` for the method's own default.
        score: As the layer takes it; `None` for the maximum.
        **kwargs: Further arguments of the layer.

    Raises:
        ValueError: Where the method is unknown or does not take an argument that is given.
        TypeError: Where a rate is no number.
    """
    method = get_method(drop)
    given = {"top_rate": top_rate, "retaining_rate": retaining_rate, "score": score}
    allowed = {
        "top_rate": method.top_rate is not None,
        "retaining_rate": method.layer is not None,
        "score": method.top_rate is not None,
    }
    for argument, value in given.items():
        if value is not None and not allowed[argument]:
            takers = [
                key
                for key, other in METHODS.items()
                if (other.layer if argument == "retaining_rate" else other.top_rate) is not None
            ]
            raise ValueError(
                f"Argument `{argument}` goes with the drops {takers}. "
                f"Received: {argument}={value!r} with drop={drop!r}"
            )
    if method.layer is None:
        return None
    rates: dict[str, Any] = {
        "retaining_rate": method.retaining_rate if retaining_rate is None else retaining_rate
    }
    if method.top_rate is not None:
        rates["top_rate"] = method.top_rate if top_rate is None else top_rate
        rates["score"] = "max" if score is None else score
    return method.layer(**rates, **kwargs)
