"""Selective and soft dropout for Keras: the drop layers of "SelectScale" (IJCAI 2020)."""

import importlib
import pathlib
import sys
from typing import TYPE_CHECKING, Any

from keras_selectscale.version import __version__

if TYPE_CHECKING:
    from keras_selectscale import models
    from keras_selectscale.exporting import export, verify_export
    from keras_selectscale.layers import (
        FeatureDrop,
        Selective,
        Selectout,
        SelectScale,
        SpatialDropout,
        SpatialScale,
        StandardDropout,
        exponential_curriculum,
        linear_curriculum,
    )
    from keras_selectscale.surgery import drops_active, insert_drops, mc_predict, strip_drops

__all__ = [
    "FeatureDrop",
    "SelectScale",
    "Selective",
    "Selectout",
    "SpatialDropout",
    "SpatialScale",
    "StandardDropout",
    "__version__",
    "drops_active",
    "export",
    "exponential_curriculum",
    "insert_drops",
    "linear_curriculum",
    "mc_predict",
    "models",
    "strip_drops",
    "verify_export",
]
EXPORTING = ("export", "verify_export")
SURGERY = ("drops_active", "insert_drops", "mc_predict", "strip_drops")


def __getattr__(name: str) -> Any:
    """Imports a public name on its first use."""
    if name == "tuning":  # Not in `__all__`: it loads KerasTuner.
        return importlib.import_module("keras_selectscale.tuning")
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "models":
        return importlib.import_module("keras_selectscale.models")
    room = "surgery" if name in SURGERY else "exporting" if name in EXPORTING else "layers"
    return getattr(importlib.import_module(f"keras_selectscale.{room}"), name)


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__) | {"tuning"})


# An import registers the layers and the optimizer with Keras, so that files with them load. The
# command line goes without: its help must not wait for the seconds that a backend takes to start.
if pathlib.Path(sys.argv[0] if sys.argv else "").stem != "keras-selectscale":
    importlib.import_module("keras_selectscale.models")
    importlib.import_module("keras_selectscale.layers")
    importlib.import_module("keras_selectscale.optimizers")
